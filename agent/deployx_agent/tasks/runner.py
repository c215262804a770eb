"""Runs one task: a child in a session of its own, held behind a latch until it is journalled, ended as a whole.

The latch is `/bin/sh` waiting for a line on its standard input; then it becomes the task's program. An agent that is
killed closes that pipe, and the shell ends without having started anything. So a program runs only if its process group
is in the journal, by which a later agent can end it.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from deployx_agent.tasks import processes
from deployx_agent.tasks.command import CannotStart, Command
from deployx_agent.tasks.pipes import Collector
from deployx_agent.tasks.processes import LEADER_VARIABLE
from deployx_agent.tasks.spool import Spool
from deployx_protocol.tasks import TaskCode, TaskState

_NAME = "deployx-agent"
_LATCH = f'read -r go || exit 126; export {LEADER_VARIABLE}="$$@${LEADER_VARIABLE}"; exec "$@" </dev/null'
_SHELL_COMPLAINS = re.compile(rf"{_NAME}: (?:line )?\d+: (?:exec: )?(.*)")
_WINDOWS_LATCH = (
    "import subprocess, sys\n"
    "sys.stdin.readline() or sys.exit(126)\n"
    "sys.exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL))"
)
_UMASK = 0o022


class Control:
    """How others end a task that runs. The first word counts."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.said = asyncio.Event()

    def end(self, state: TaskState, code: TaskCode = TaskCode.NONE, message: str = "") -> None:
        """End it, and report it as ``state``."""
        if self.ending is None:
            self.ending = Ending(state, code, message)
            self.said.set()

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
    child = await _start(command)
    loop = asyncio.get_running_loop()
    collector = Collector(child.stdout, child.stderr, spool, on_output)
    collecting = loop.run_in_executor(threads, collector.run)
    try:
        await journalled(child.pid, child.mark)
        began = time.monotonic()
        if control.ending is None:
            child.let_go()
        ended = await _until_over(child, timeout_s, control)
        duration_s = time.monotonic() - began
    finally:
        child.shut()
        await child.process.wait()
        collector.child_ended()
        await collecting
    return _judge(child, ended, duration_s, spool)


class _Child:
    """A process behind the latch; ``stdout`` and ``stderr`` are the ends to read from."""

    def __init__(self, process: asyncio.subprocess.Process, latch: int, stdout: int, stderr: int) -> None:
        self.process = process
        self.pid = process.pid
        self.mark = processes.identify(process.pid)
        self.stdout = stdout
        self.stderr = stderr
        self.ran = False
        self._latch = latch

    def let_go(self) -> None:
        """Open the latch."""
        self.ran = True
        with suppress(BrokenPipeError):
            os.write(self._latch, b"\n")
        self.shut()

    def shut(self) -> None:
        """Close the latch's pipe: a child that was not let go ends without having started anything."""
        if self._latch >= 0:
            os.close(self._latch)
            self._latch = -1


async def _start(command: Command) -> _Child:
    options: dict[str, Any] = {"cwd": command.cwd, "env": command.env, **command.options}
    if sys.platform == "win32":
        import subprocess

        program = [sys.executable, "-I", "-S", "-c", _WINDOWS_LATCH]
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        program = ["/bin/sh", "-c", _LATCH, _NAME]
        options |= {"start_new_session": True, "umask": _UMASK}
    pairs = [os.pipe() for _ in range(3)]
    (latch_out, latch), (stdout, stdout_in), (stderr, stderr_in) = pairs
    try:
        process = await asyncio.create_subprocess_exec(
            *program, *command.argv, stdin=latch_out, stdout=stdout_in, stderr=stderr_in, **options
        )
    except (OSError, ValueError) as error:
        for descriptor in (latch, stdout, stderr):
            os.close(descriptor)
        raise _cannot_start(error, command) from None
    finally:
        for descriptor in (latch_out, stdout_in, stderr_in):
            os.close(descriptor)
    return _Child(process, latch, stdout, stderr)


def _cannot_start(error: OSError | ValueError, command: Command) -> CannotStart:
    why = getattr(error, "strerror", None) or str(error)
    if getattr(error, "filename", None) == command.cwd:
        code = TaskCode.NOT_PERMITTED if isinstance(error, PermissionError) else TaskCode.CWD_NOT_FOUND
        return CannotStart(code, f"The folder {command.cwd!r} cannot be entered ({why}).")
    code = TaskCode.NOT_PERMITTED if isinstance(error, PermissionError) else TaskCode.START_FAILED
    return CannotStart(code, f"The command cannot be started ({why}).")


async def _until_over(child: _Child, timeout_s: float, control: Control) -> Ending | None:
    """Wait for the child; end its group when the time is up or someone says so. None: it ended by itself."""
    over = asyncio.ensure_future(child.process.wait())
    told = asyncio.ensure_future(control.said.wait())
    try:
        await asyncio.wait((over, told), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            return None
        if not told.done():
            control.end(TaskState.TIMED_OUT)
        child.shut()
        if not await processes.end(child.pid):
            await over
        return control.ending
    finally:
        over.cancel()
        told.cancel()
        await asyncio.gather(over, told, return_exceptions=True)


def _judge(child: _Child, ended: Ending | None, duration_s: float, spool: Spool) -> Ending:
    if ended and not child.ran:
        return ended
    status = child.process.returncode
    assert status is not None, "it was waited for"
    exit_code, number = (status, None) if status >= 0 else (None, -status)
    if ended is None and status in (126, 127) and (complaint := _complaint(spool)):
        code = TaskCode.COMMAND_NOT_FOUND if status == 127 else TaskCode.NOT_PERMITTED
        return Ending(TaskState.FAILED, code, f"The command cannot be started: {complaint}.", exit_code)
    ended = ended or Ending(TaskState.SUCCEEDED if status == 0 else TaskState.FAILED)
    return Ending(ended.state, ended.code, ended.message, exit_code, number, duration_s)


def _complaint(spool: Spool) -> str:
    """What the latch said when it could not become the program; empty when the program itself has spoken."""
    found = _SHELL_COMPLAINS.fullmatch(spool.stderr_head.decode("utf-8", "replace").strip())
    return found[1] if found else ""
