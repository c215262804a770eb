"""Runs one task from its start to its verdict: journalled before it is let go, ended in time, judged by its end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from deployx_agent.tasks import child as children
from deployx_agent.tasks.child import Child
from deployx_agent.tasks.command import Command
from deployx_agent.tasks.spool import Spool
from deployx_protocol.tasks import TaskCode, TaskState


class Control:
    """How others end a task that runs. The first word counts."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self._said: asyncio.Event | None = None

    def end(self, state: TaskState, code: TaskCode = TaskCode.NONE, message: str = "") -> None:
        """End it, and report it as ``state``."""
        if self.ending is None:
            self.ending = Ending(state, code, message)
            self.said.set()

    @property
    def said(self) -> asyncio.Event:
        """Set once there is an ending. Made when it is first waited for: of tasks that only wait there are many."""
        if self._said is None:
            self._said = asyncio.Event()
        return self._said

    async def wait(self, at_most_s: float) -> None:
        """Wait for ``end``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self.said.wait()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ended."""

    state: TaskState
    code: TaskCode = TaskCode.NONE
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    duration_s: float | None = None


Journalled = Callable[[int, str], Awaitable[None]]
"""Given the process group and its leader's mark: returns once they are durable, or raises what the disk said."""


async def run(
    command: Command,
    timeout_s: float,
    spool: Spool,
    control: Control,
    journalled: Journalled,
    on_output: Callable[[], None],
    threads: Executor,
) -> Ending:
    """Start ``command`` and see it to its end. Raises CannotStart; whatever ``journalled`` raises, nothing has run."""
    child = await children.start(command)
    child.listen(spool, on_output, threads)
    try:
        await journalled(child.pid, child.mark)
        began = time.monotonic()
        if control.ending is None:
            child.let_go()
        ended = await _until_over(child, timeout_s, control)
        duration_s = time.monotonic() - began
    finally:
        status = await child.finish()
    if ended and not child.ran:
        return ended
    return _judge(status, ended, duration_s, spool)


async def _until_over(child: Child, timeout_s: float, control: Control) -> Ending | None:
    """Wait for the child; end its group when the time is up or someone says so. None: it ended by itself."""
    over = asyncio.ensure_future(child.wait())
    told = asyncio.ensure_future(control.said.wait())
    try:
        await asyncio.wait((over, told), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            return None
        if not told.done():
            control.end(TaskState.TIMED_OUT)
        await child.end()
        return control.ending
    finally:
        over.cancel()
        told.cancel()
        await asyncio.gather(over, told, return_exceptions=True)


def _judge(status: int, ended: Ending | None, duration_s: float, spool: Spool) -> Ending:
    exit_code, number = (status, None) if status >= 0 else (None, -status)
    if ended is None and status in (126, 127) and (complaint := children.complaint(spool.stderr_head)):
        code = TaskCode.COMMAND_NOT_FOUND if status == 127 else TaskCode.NOT_PERMITTED
        return Ending(TaskState.FAILED, code, f"The command cannot be started: {complaint}.", exit_code)
    ended = ended or Ending(TaskState.SUCCEEDED if status == 0 else TaskState.FAILED)
    return Ending(ended.state, ended.code, ended.message, exit_code, number, duration_s)
