"""One program: a child in a session of its own, held behind its latch until it may go, heard while it runs."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor

from deployx_agent.tasks import processes
from deployx_agent.tasks.command import Command
from deployx_agent.tasks.latch import OWN_COMMAND, Latch
from deployx_agent.tasks.listening import Listener
from deployx_agent.tasks.spool import Spool
from deployx_protocol.task_messages import STDERR, STDOUT


class Child:
    """What runs, or will, behind ``latch``: ``program``, when ``line`` lets it go. Made in the loop."""

    def __init__(self, latch: Latch, program: str, line: bytes = OWN_COMMAND) -> None:
        self._latch = latch
        self.program = program
        self._line = line
        self._listener: Listener | None = None
        self._watched = False
        self.pipes = {latch.stdout: STDOUT, latch.stderr: STDERR}
        """What it prints into, while nobody has heard their end."""
        self.heard: list[tuple[int, bytes]] = []
        """What was heard before it was listened to, each with its stream."""
        self.descriptor = latch.descriptor
        """Of its process; -1 on a system that has none."""
        self.quick = self.descriptor >= 0
        """Whether it can be seen through without the loop, see ``quick``: nobody listens to it yet."""
        self._over: asyncio.Future[int] | None = None
        self.pid = latch.pid
        self.mark = latch.mark
        self.ran = False
        """Whether it was let go."""
        self.began = 0.0
        """When, by the monotonic clock."""

    @property
    def over(self) -> "asyncio.Future[int]":
        """What it ended with: its exit code, or the number of its signal, negative. Set while it is listened to."""
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
        return self._over

    def listen(self, spool: Spool, on_output: Callable[[], None], threads: Executor) -> None:
        """Keep what it prints, and hear of its end. What takes long is done in ``threads``, where ``on_output`` is
        called when there is more in the spool."""
        self.let_pipes_end()
        self.quick = False
        self._listener = Listener(self.pipes, spool, on_output, threads, self.heard, self.began)
        if self.descriptor < 0:
            self._over = asyncio.get_running_loop().run_in_executor(threads, self._latch.process.wait)
        self._watch()

    def _watch(self) -> None:
        if self.descriptor >= 0 and not self._watched:
            self._watched = True
            asyncio.get_running_loop().add_reader(self.descriptor, self._ended)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self.descriptor)
        self.over.set_result(self.reap())

    def reap(self) -> int:
        """What it ended with, as it has."""
        os.close(self.descriptor)
        self.descriptor = -1
        return self._latch.process.wait()

    def let_pipes_end(self) -> None:
        """From now on its pipes come to their end when nobody else holds them."""
        self._latch.let_pipes_end()

    def let_go(self) -> None:
        """Open the latch."""
        self.ran, self.began = True, time.monotonic()
        self._latch.open(self._line)

    async def end(self) -> None:
        """End its whole group."""
        self._latch.shut()
        if not await processes.end(self.pid):
            await self._gone()

    async def finish(self) -> int:
        """Until it has ended, and what it printed is kept; what it ended with."""
        self._latch.shut()
        self._watch()
        await self._gone()
        if self._listener:
            await self._listener.finish()
        else:
            self.let_pipes_end()
            while self.pipes:
                os.close(self.pipes.popitem()[0])
        return self.over.result()

    async def _gone(self) -> None:
        if not self.over.done():
            await asyncio.wait([self.over])


def start(command: Command) -> Child:
    """A child that waits to be let go. Raises CannotStart."""
    return Child(Latch(command), command.argv[0])
