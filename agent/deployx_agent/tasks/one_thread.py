"""An executor of one thread, which does what it is given in that order, and costs little where nobody asks how it went.

The library's own makes a future with locks of its own for each call, and counts the threads that wait. What such a
thread tells the loop costs little as well: no handle, no context, and one call of the system to hear of it.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneThread(Executor):
    """Its thread, called ``name``, is there from the first call to ``shutdown``."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._started = False

    def do(self, job: Callable[[], None]) -> None:
        """Have ``job`` done, which raises nothing."""
        if not self._started:
            self._started = True
            self._thread.start()
        self._jobs.put(job)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Have ``fn`` called; what comes of it."""
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = fn(*args, **kwargs)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self.do(job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End after what was given; nothing more may be."""
        if self._started:
            self._jobs.put(None)
            if wait:
                self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # it holds what it was given, until the next one comes


class ToLoop:
    """What a thread has the loop of whoever makes this call, in that order. Only where there is `eventfd`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._calls: deque[Callable[[], None]] = deque()
        self._loop.add_reader(self._descriptor, self._call)

    def tell(self, call: Callable[[], None]) -> None:
        """Have ``call`` called; in a thread."""
        self._calls.append(call)
        os.eventfd_write(self._descriptor, 1)

    def close(self) -> None:
        """Nobody tells anything any more; in the loop, or after it."""
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
