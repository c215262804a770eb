"""An executor of one thread, which does what it is given in that order, and costs little.

The library's own makes a future with locks of its own for each call and chains another one to it, which it tells the
loop of by a socket. Here a call that is awaited costs one future of the loop, and one that is not costs none. Where the
system has `eventfd`, either side wakes the other by one call of it. While that is made the caller does not hold the
interpreter: who is woken has it at once, where it would sleep again to wait for it after any lock.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Call = Callable[[], None]


class OneThread(Executor):
    """Its thread, called ``name``, is there from the first call to ``shutdown``. It serves one loop."""

    def __init__(self, name: str) -> None:
        self._jobs: deque[Callable[[], Call]] = deque()
        self._over = False
        self._come: _Bell
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._to_loop: _ToLoop | None = None

    def do(self, job: Callable[[], Call]) -> None:
        """Have ``job`` done, which raises nothing, and what it gives called in the loop, in that order. Nothing is done
        after ``shutdown``: by then the descriptor may be somebody else's."""
        if self._over:
            return
        if self._to_loop is None:
            self._to_loop, self._come = _ToLoop(), _Bell()
            self._thread.start()
        self._jobs.append(job)
        self._come.ring()

    def submit(  # type: ignore[override]
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        """Have ``fn`` called; what comes of it. The loop takes such a future as it is."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def job() -> Call:
            try:
                return partial(_settle, future, future.set_result, fn(*args, **kwargs))
            except Exception as error:
                return partial(_settle, future, future.set_exception, error)

        self.do(job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End after what was given."""
        if self._over:
            return
        self._over = True
        if self._to_loop:
            self._come.ring()
            self._thread.join()
            self._come.close()
            self._to_loop.close()

    def _work(self) -> None:
        assert self._to_loop is not None
        while self._jobs or not self._over:
            self._come.wait()
            while self._jobs:
                self._to_loop.call(self._jobs.popleft()())


class _Bell:
    """Wakes the one thread that waits for it, or will."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC) if hasattr(os, "eventfd") else -1
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Wake it."""
        if self._descriptor < 0:
            self._rung.put(None)
        else:
            os.eventfd_write(self._descriptor, 1)

    def wait(self) -> None:
        """Until it is rung, if it was not since the last time."""
        if self._descriptor < 0:
            self._rung.get()
        else:
            os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Nobody waits any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _settle(future: "asyncio.Future[Any]", how: Callable[[Any], None], outcome: Any) -> None:
    if not future.done():  # else nobody waits any more
        how(outcome)


class _ToLoop:
    """What a thread has the loop of whoever makes this call, in that order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: deque[Call] = deque()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if hasattr(os, "eventfd") else -1
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._call)

    def call(self, call: Call) -> None:
        """Have ``call`` called; in a thread."""
        if self._descriptor < 0:
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(call)
            return
        self._calls.append(call)
        os.eventfd_write(self._descriptor, 1)

    def close(self) -> None:
        """Nobody tells anything any more; in the loop, or after it."""
        if self._descriptor < 0:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _call(self) -> None:
        os.eventfd_read(self._descriptor)
        try:
            while self._calls:
                self._calls.popleft()()
        finally:
            if self._calls:  # one has failed, and the others are called as well
                os.eventfd_write(self._descriptor, 1)
