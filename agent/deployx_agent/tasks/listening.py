"""Hears what a child prints: in the loop while it is little, in a thread of its own from then on.

Most tasks print a line and end. For them a thread, its waking and a file cost more than the rest of the work, so what
they print stays in memory until it goes into the journal with their result. As soon as a task prints more than that, or
goes on for `GATHER_S` after it has printed something, a `Collector` takes over, and with it the rule that what was
printed is in the spool, where it outlives the agent.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor

from deployx_agent.tasks.pipes import GATHER_S, Collector, at_hand
from deployx_agent.tasks.spool import HELD_MAX_BYTES, Spool
from deployx_protocol.limits import CHUNK_MAX_BYTES


class Listener:
    """Fills ``spool`` from ``pipes``, each with its stream, which it closes; ``on_output`` is called in one of
    ``threads``. ``heard`` is what came from them before, from a child that began at ``began``."""

    def __init__(
        self,
        pipes: dict[int, int],
        spool: Spool,
        on_output: Callable[[], None],
        threads: Executor,
        heard: list[tuple[int, bytes]],
        began: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._streams = pipes
        """The pipes that are read in the loop and have not come to their end."""
        self._spool = spool
        self._on_output = on_output
        self._threads = threads
        self._heard = heard
        self._heard_bytes = sum(len(data) for _, data in heard)
        self._timer: asyncio.TimerHandle | None = None
        self._collector: Collector | None = None
        self._collecting: asyncio.Future[None] | None = None
        if os.name == "nt" or self._heard_bytes > HELD_MAX_BYTES:  # there, pipes cannot be waited for
            self._hand_over()
            return
        for descriptor in self._streams:
            self._loop.add_reader(descriptor, self._read, descriptor)
        if heard:
            self._timer = self._loop.call_later(began + GATHER_S - time.monotonic(), self._hand_over)

    async def finish(self) -> None:
        """The child has ended: return when what it printed is kept."""
        while not self._collector and (ready := at_hand(self._streams)):
            self._read(ready[0])
        if not self._collector and self._streams:  # somebody else holds them open
            self._hand_over()
        if self._collector and self._collecting:
            self._collector.child_ended()
            await self._collecting
            return
        self._stop_reading()
        for stream, data in self._heard:
            self._spool.hold(stream, data)

    def _read(self, descriptor: int) -> None:
        data = os.read(descriptor, CHUNK_MAX_BYTES)
        if not data:
            self._loop.remove_reader(descriptor)
            del self._streams[descriptor]
            os.close(descriptor)
            return
        self._hear(self._streams[descriptor], data)
        if self._heard_bytes > HELD_MAX_BYTES:
            self._hand_over()
        elif self._timer is None:
            self._timer = self._loop.call_later(GATHER_S, self._hand_over)

    def _hear(self, stream: int, data: bytes) -> None:
        self._heard_bytes += len(data)
        if self._heard and self._heard[-1][0] == stream:
            data = self._heard.pop()[1] + data
        self._heard.append((stream, data))

    def _hand_over(self) -> None:
        self._stop_reading()
        self._collector = Collector(self._streams, self._spool, self._on_output, self._heard)
        self._collecting = self._loop.run_in_executor(self._threads, self._collector.run)

    def _stop_reading(self) -> None:
        if self._timer:
            self._timer.cancel()
        if os.name != "nt":
            for descriptor in self._streams:
                self._loop.remove_reader(descriptor)
