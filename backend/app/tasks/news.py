"""Who waits for news of a task or of a run, and is woken by its hints.

Invariant: a waiter reads the rows again when it is woken, and now and then without being woken: a lost hint costs a
poll interval. When the server stops, nobody is kept waiting.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from app.hints import Hint, HintKind

T = TypeVar("T")

POLL_S = 2.0
"""How long a waiter trusts that a hint will wake it."""


class TaskNews:
    """Wakes waiters of this node."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = {}
        """By the id of a task or a run."""
        self.closed = False

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Wake whoever waits for what ``hints`` name."""
        for hint in hints:
            if hint.kind is HintKind.TASK or hint.kind is HintKind.RUN:
                for waiter in (*self._waiters.get(hint.task_id, ()), *self._waiters.get(hint.run_id, ())):
                    waiter.set()

    def close(self) -> None:
        """Wake everyone, and let nobody wait any more."""
        self.closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.set()

    async def read_until(
        self, id: str, wait_s: float, read: Callable[[], Awaitable[T]], enough: Callable[[T, bool], bool]
    ) -> T:
        """What ``read`` gives, read again and again until it is ``enough``, ``wait_s`` are over, or the server stops.

        ``enough`` is also told whether there was news of ``id`` since it was read before.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        with self.of(id) as changed:
            while True:
                told = changed.is_set()
                changed.clear()
                found = await read()
                left_s = deadline - loop.time()
                if enough(found, told) or left_s <= 0 or self.closed:
                    return found
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left_s, POLL_S))

    @contextlib.contextmanager
    def of(self, id: str) -> Iterator[asyncio.Event]:
        """An event that is set when something about this task, or a task of this run, was committed; whoever waits
        clears it."""
        waiter = asyncio.Event()
        self._waiters.setdefault(id, set()).add(waiter)
        try:
            yield waiter
        finally:
            waiters = self._waiters[id]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[id]
