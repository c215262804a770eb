"""The latch: a child that already leads its process group and waits for one line before it becomes the task's program.

It is `/bin/sh`, reading from a pipe that this agent alone can write to. A killed agent closes the pipe, and the shell
ends without having started anything; a line that comes only in part counts as none. So a program runs only if its
process group is in the journal, by which a later agent can end it.

A line for a shell needs no other one than this: it is made an alias, which the shell reads as if it had been given the
line itself, so that nothing differs but the number of the line in what it says about it, and what `alias` lists.
"""

import os
import re
import sys
from functools import cache
from pathlib import Path

from deployx_agent.tasks import processes, spawning
from deployx_agent.tasks.command import SHELL, CannotStart, Command
from deployx_agent.tasks.processes import LEADER_VARIABLE, TASK_VARIABLE
from deployx_protocol.tasks import TaskCode

OWN_COMMAND = b'exec "$@" </dev/null'
"""The line that makes the latch what it was started with."""
RUN = "r"
"""What makes it another program: this, the task's id, and the words of its command. It is short, for a shell reads a
pipe character by character."""
DO = "d"
"""What has it do a line itself: this, the task's id, and the line, as one word."""
_NAME = "deployx-agent"
_LINE = "DEPLOYX_LATCH"  # a shell variable that no task names, so none is lost
_EXPORT = f'export {TASK_VARIABLE}="$1"'
_LATCH = (
    f'{RUN}() {{ {_EXPORT}; shift; exec "$@" </dev/null; }}; '
    f'{DO}() {{ {_EXPORT}; alias {_LINE}="$2"; exec </dev/null; unset -f {RUN} {DO}; unset {_LINE}; }}; '
    f'read -r {_LINE} || exit 126; export {LEADER_VARIABLE}="$$@${LEADER_VARIABLE}"; eval "${_LINE}"\n'
    f"{_LINE}"  # an alias only from the next line on
)
_SHELL_COMPLAINS = re.compile(rf"(?:{_NAME}|{SHELL}): (?:line )?\d+: (?:exec: )?(.*)")
_WINDOWS_LATCH = (
    "import subprocess, sys\n"
    "sys.stdin.readline() or sys.exit(126)\n"
    "sys.exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL))"
)


class Latch:
    """A process behind the latch. ``stdout`` and ``stderr`` are the ends to read from; who takes them closes them. To
    read from them never waits, but on Windows.

    ``stderr`` does not come to its end before ``let_pipes_end``: who waits for the process is not woken for that first.
    """

    def __init__(self, command: Command) -> None:
        """Raises CannotStart."""
        pairs = [os.pipe() for _ in range(3)]
        (latch_out, self._line), (self.stdout, stdout_in), (self.stderr, self._stderr_in) = pairs
        try:
            self.process = spawning.start(_program(command), command, (latch_out, stdout_in, self._stderr_in))
        except (OSError, ValueError) as error:
            self.shut()
            self.discard_output()
            raise _cannot_start(error, command) from None
        finally:
            os.close(latch_out)
            os.close(stdout_in)
        if sys.platform != "win32":
            os.set_blocking(self.stdout, False)
            os.set_blocking(self.stderr, False)
        self.pid = self.process.pid
        self.mark = processes.identify(self.pid)
        self.descriptor = _descriptor(self.pid)
        """Of its process; -1 on a system that has none. Who takes it closes it."""

    def open(self, line: bytes) -> None:
        """Have it do what ``line`` says."""
        try:
            os.write(self._line, line + b"\n")
        except BrokenPipeError:  # somebody has ended it
            pass
        finally:
            os.close(self._line)
            self._line = -1

    def shut(self) -> None:
        """A child that was not let go ends without having started anything."""
        if self._line >= 0:
            os.close(self._line)
            self._line = -1

    def let_pipes_end(self) -> None:
        """Nobody but the process, and those to whom it gave them, holds its pipes open any more."""
        if self._stderr_in >= 0:
            os.close(self._stderr_in)
            self._stderr_in = -1

    def discard_output(self) -> None:
        """Nobody will read what it prints."""
        self.let_pipes_end()
        os.close(self.stdout)
        os.close(self.stderr)

    def discard(self) -> None:
        """End it, which was not let go; returns when it has ended."""
        self.shut()
        self.discard_output()
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.process.wait()


def _program(command: Command) -> list[str]:
    if sys.platform == "win32":
        return [sys.executable, "-I", "-S", "-c", _WINDOWS_LATCH, *command.argv]
    return [SHELL, "-c", _LATCH, _NAME if command.argv else SHELL, *command.argv]


def _descriptor(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not on this system
        return -1


@cache
def does_lines() -> bool:
    """Whether this machine's shell does a line in here as it does with `-c`. What others do with a signal differs."""
    return Path(SHELL).resolve().name == "dash"


def complaint(stderr_head: bytes, program: str) -> str:
    """What the latch said when it could not become ``program``; empty when the program itself has spoken."""
    found = _SHELL_COMPLAINS.fullmatch(stderr_head.decode("utf-8", "replace").strip())
    return found[1] if found and found[1].startswith(f"{program}: ") else ""


def _cannot_start(error: OSError | ValueError, command: Command) -> CannotStart:
    why = getattr(error, "strerror", None) or str(error)
    if getattr(error, "filename", None) == command.cwd:
        code = TaskCode.NOT_PERMITTED if isinstance(error, PermissionError) else TaskCode.CWD_NOT_FOUND
        return CannotStart(code, f"The folder {command.cwd!r} cannot be entered ({why}).")
    code = TaskCode.NOT_PERMITTED if isinstance(error, PermissionError) else TaskCode.START_FAILED
    return CannotStart(code, f"The command cannot be started ({why}).")
