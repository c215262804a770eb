"""Who waits for news of a task, and is woken by its hints.

Invariant: a waiter reads the rows again when it is woken, and now and then without being woken: a lost hint costs a
poll interval. When the server stops, nobody is kept waiting.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from app.hints import Hint, HintKind


class TaskNews:
    """Wakes waiters of this node."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self.closed = False

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Wake whoever waits for what ``hints`` name."""
        for hint in hints:
            if hint.kind is HintKind.TASK:
                for waiter in self._waiters.get(hint.task_id, ()):
                    waiter.set()

    def close(self) -> None:
        """Wake everyone, and let nobody wait any more."""
        self.closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.set()

    @contextlib.contextmanager
    def of(self, task_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when something about the task was committed; whoever waits clears it."""
        waiter = asyncio.Event()
        self._waiters.setdefault(task_id, set()).add(waiter)
        try:
            yield waiter
        finally:
            waiters = self._waiters[task_id]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[task_id]
