"""One program: a child in a session of its own, held behind its latch until it may go, heard while it runs."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor

from deployx_agent.tasks import processes
from deployx_agent.tasks.command import Command
from deployx_agent.tasks.latch import OWN_COMMAND, Latch
from deployx_agent.tasks.listening import Listener
from deployx_agent.tasks.spool import Spool


class Child:
    """What runs, or will, behind ``latch``; ``line`` lets it go. Made in the loop."""

    def __init__(self, latch: Latch, line: bytes = OWN_COMMAND) -> None:
        self._latch = latch
        self._line = line
        self._listener: Listener | None = None
        self._descriptor = -1
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """What it ended with: its exit code, or the number of its signal, negative. Set while it is listened to."""
        self.pid = latch.pid
        self.mark = latch.mark
        self.ran = False
        """Whether it was let go."""

    def listen(self, spool: Spool, on_output: Callable[[], None], threads: Executor) -> None:
        """Keep what it prints, and hear of its end. What takes long is done in ``threads``, where ``on_output`` is
        called when there is more in the spool."""
        self._listener = Listener(self._latch.stdout, self._latch.stderr, spool, on_output, threads)
        loop = asyncio.get_running_loop()
        try:
            self._descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not on this system
            self.over = loop.run_in_executor(threads, self._latch.process.wait)
        else:
            loop.add_reader(self._descriptor, self._ended)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.over.set_result(self._latch.process.wait())

    def let_go(self) -> None:
        """Open the latch."""
        self.ran = True
        self._latch.open(self._line)

    async def end(self) -> None:
        """End its whole group."""
        self._latch.shut()
        if not await processes.end(self.pid):
            await self._gone()

    async def finish(self) -> int:
        """Until it has ended, and what it printed is kept; what it ended with."""
        self._latch.shut()
        await self._gone()
        if self._listener:
            await self._listener.finish()
        return self.over.result()

    async def _gone(self) -> None:
        if not self.over.done():
            await asyncio.wait([self.over])


def start(command: Command) -> Child:
    """A child that waits to be let go. Raises CannotStart."""
    return Child(Latch(command))
