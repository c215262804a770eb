"""Who waits for news of a task or of a run, and is woken by its hints.

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
