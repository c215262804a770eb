"""Sees one task from its start to its verdict: ended in time or when someone says so, judged by its end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from deployx_agent.tasks.child import Child
from deployx_agent.tasks.latch import complaint
from deployx_agent.tasks.spool import Spool
from deployx_protocol.releases import Outcome
from deployx_protocol.tasks import TaskCode, TaskState


class Control:
    """How others end a task that runs. The first word counts."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self._said: asyncio.Future[None] | None = None
        self.hurry: Callable[[], None] = _nobody
        """Calls for whoever sees the task through and does not hear what is said here."""

    def end(self, state: TaskState, code: TaskCode = TaskCode.NONE, message: str = "") -> None:
        """End it, and report it as ``state``."""
        if self.ending is None:
            self.ending = Ending(state, code, message)
            self.said.set_result(None)
            self.hurry()

    @property
    def said(self) -> "asyncio.Future[None]":
        """Done once there is an ending. Made when it is first waited for: of tasks that only wait there are many."""
        if self._said is None:
            self._said = asyncio.get_running_loop().create_future()
        return self._said

    async def wait(self, at_most_s: float) -> None:
        """Wait for ``end``."""
        await asyncio.wait([self.said], timeout=at_most_s)


def _nobody() -> None:
    """It is heard as it is."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ended."""

    state: TaskState
    code: TaskCode = TaskCode.NONE
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    duration_s: float | None = None
    outcome: Outcome = Outcome.NONE
    """Of a release."""


async def see_through(
    child: Child, timeout_s: float, spool: Spool, control: Control, on_started: Callable[[], None]
) -> Ending:
    """Let ``child`` go, unless it was, or someone has ended it, and see it to its end. What it prints is in ``spool``
    by then."""
    began = child.began if child.ran else time.monotonic()
    try:
        if control.ending is None and not child.ran:
            child.let_go()
        on_started()
        ended = await _until_over(child, timeout_s, control)
        duration_s = time.monotonic() - began
    finally:
        status = await child.finish()
    if ended and not child.ran:
        return ended
    return judge(child.program, status, ended, duration_s, spool)


async def _until_over(child: Child, timeout_s: float, control: Control) -> Ending | None:
    """Wait for the child; end its group when the time is up or someone says so. None: it ended by itself."""
    await asyncio.wait((child.over, control.said), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if child.over.done():
        return None
    control.end(TaskState.TIMED_OUT)
    await child.end()
    return control.ending


def judge(program: str, status: int, ended: Ending | None, duration_s: float, spool: Spool) -> Ending:
    """How a task ended whose child was to be ``program``, was ``ended``, if it was, and ended with ``status``."""
    exit_code, number = (status, None) if status >= 0 else (None, -status)
    if ended is None and status in (126, 127) and (said := complaint(spool.stderr_head, program)):
        code = TaskCode.COMMAND_NOT_FOUND if status == 127 else TaskCode.NOT_PERMITTED
        return Ending(TaskState.FAILED, code, f"The command cannot be started: {said}.", exit_code)
    if ended is None:
        state = TaskState.SUCCEEDED if status == 0 else TaskState.FAILED
        return Ending(state, TaskCode.NONE, "", exit_code, number, duration_s)
    return Ending(ended.state, ended.code, ended.message, exit_code, number, duration_s)
