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
_TOLD_OF = frozenset({HintKind.TASK, HintKind.RUN, HintKind.RUN_OVER})

POLL_S = 2.0
"""How long a waiter trusts that a hint will wake it."""


class Waiter:
    """Somebody who waits for news of one task or run, and clears ``changed`` before reading."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        """Something of it was committed."""
        self.over = asyncio.Event()
        """It is a run, and that was its last task; or the server stops."""

    async def wait(self, event: asyncio.Event, at_most_s: float) -> bool:
        """Whether ``event`` is set within ``at_most_s``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), at_most_s)
        return event.is_set()


class TaskNews:
    """Wakes waiters of this node."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Waiter]] = {}
        """By the id of a task or a run."""
        self.closed = False

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Wake whoever waits for what ``hints`` name."""
        for hint in hints:
            if hint.kind is HintKind.EVERYTHING:
                for waiters in self._waiters.values():
                    for waiter in waiters:
                        waiter.changed.set()
            elif hint.kind in _TOLD_OF:
                for waiter in (*self._waiters.get(hint.task_id, ()), *self._waiters.get(hint.run_id, ())):
                    waiter.changed.set()
                    if hint.kind is HintKind.RUN_OVER:
                        waiter.over.set()

    def close(self) -> None:
        """Wake everyone, and let nobody wait any more."""
        self.closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.changed.set()
                waiter.over.set()

    async def read_until(
        self, task_id: str, wait_s: float, read: Callable[[], Awaitable[T]], enough: Callable[[T], bool]
    ) -> T:
        """What ``read`` gives, again and again until it is ``enough``, ``wait_s`` are over, or the server stops."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        with self.of(task_id) as waiter:
            while True:
                waiter.changed.clear()
                found = await read()
                left_s = deadline - loop.time()
                if enough(found) or left_s <= 0 or self.closed:
                    return found
                await waiter.wait(waiter.changed, min(left_s, POLL_S))

    @contextlib.contextmanager
    def of(self, id: str) -> Iterator[Waiter]:
        """Somebody who is told when something about this task, or a task of this run, was committed."""
        waiter = Waiter()
        self._waiters.setdefault(id, set()).add(waiter)
        try:
            yield waiter
        finally:
            waiters = self._waiters[id]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[id]
