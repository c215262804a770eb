"""One program: a child in a session of its own, held behind a latch until it may go, heard while it runs.

The latch is `/bin/sh` waiting for a line on its standard input; then it becomes the task's program. An agent that is
killed closes that pipe, and the shell ends without having started anything. So a program runs only if its process group
is in the journal, by which a later agent can end it.
"""

import asyncio
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from deployx_agent.tasks import processes
from deployx_agent.tasks.command import CannotStart, Command
from deployx_agent.tasks.pipes import Collector
from deployx_agent.tasks.processes import LEADER_VARIABLE
from deployx_agent.tasks.spool import Spool
from deployx_protocol.tasks import TaskCode

_NAME = "deployx-agent"
_LATCH = f'read -r go || exit 126; export {LEADER_VARIABLE}="$$@${LEADER_VARIABLE}"; exec "$@" </dev/null'
_SHELL_COMPLAINS = re.compile(rf"{_NAME}: (?:line )?\d+: (?:exec: )?(.*)")
_WINDOWS_LATCH = (
    "import subprocess, sys\n"
    "sys.stdin.readline() or sys.exit(126)\n"
    "sys.exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL))"
)
_UMASK = 0o022


class Child:
    """A process behind the latch; ``stdout`` and ``stderr`` are the ends to read from."""

    def __init__(self, process: asyncio.subprocess.Process, latch: int, stdout: int, stderr: int) -> None:
        self._process = process
        self._latch = latch
        self._pipes = stdout, stderr
        self._collector: Collector | None = None
        self._collecting: asyncio.Future[None] | None = None
        self.pid = process.pid
        self.mark = processes.identify(process.pid)
        self.ran = False
        """Whether it was let go."""

    def listen(self, spool: Spool, on_output: Callable[[], None], threads: Executor) -> None:
        """Keep what it prints, in one of ``threads``, where ``on_output`` is called as well."""
        self._collector = Collector(*self._pipes, spool, on_output)
        self._collecting = asyncio.get_running_loop().run_in_executor(threads, self._collector.run)

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

    async def wait(self) -> int:
        """Until it has ended: its exit code, or the number of its signal, negative."""
        return await self._process.wait()

    async def end(self) -> None:
        """End its whole group."""
        self.shut()
        if not await processes.end(self.pid):
            await self._process.wait()

    async def finish(self) -> int:
        """Until it has ended, and what it printed is kept; what it ended with."""
        self.shut()
        status = await self._process.wait()
        if self._collector and self._collecting:
            self._collector.child_ended()
            await self._collecting
        return status


async def start(command: Command) -> Child:
    """A child that waits to be let go. Raises CannotStart."""
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
    return Child(process, latch, stdout, stderr)


def complaint(stderr_head: bytes) -> str:
    """What the latch said when it could not become the program; empty when the program itself has spoken."""
    found = _SHELL_COMPLAINS.fullmatch(stderr_head.decode("utf-8", "replace").strip())
    return found[1] if found else ""


def _cannot_start(error: OSError | ValueError, command: Command) -> CannotStart:
    why = getattr(error, "strerror", None) or str(error)
    if getattr(error, "filename", None) == command.cwd:
        code = TaskCode.NOT_PERMITTED if isinstance(error, PermissionError) else TaskCode.CWD_NOT_FOUND
        return CannotStart(code, f"The folder {command.cwd!r} cannot be entered ({why}).")
    code = TaskCode.NOT_PERMITTED if isinstance(error, PermissionError) else TaskCode.START_FAILED
    return CannotStart(code, f"The command cannot be started ({why}).")
