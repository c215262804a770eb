"""One latch that waits for a task that is not known yet, so that the next plain one need not wait for a shell to start.

Made while nothing runs, by an agent that has had a task before. It serves what asks for nothing of its own: the agent's
user, that user's home, no variables, a short command of plain characters, or a line for the shell that it is. For all
else a latch is made for the task.
Invariant: it is given away once, and only where it is what would be made now.
"""

from collections.abc import Sequence

from deployx_agent.tasks import command
from deployx_agent.tasks.child import Child
from deployx_agent.tasks.command import SHELL, CannotStart, Command
from deployx_agent.tasks.latch import DO, RUN, Latch, does_lines
from deployx_agent.tasks.processes import TASK_VARIABLE

_LINE_MAX = 1_000
"""The latch reads a character at a time: a longer line costs more than a start."""


class Spare:
    """The spare latch of the agent whose folder is ``owner``."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._latch: Latch | None = None
        self._made_for: Command | None = None

    def make(self) -> None:
        """Have one, if there is none. What keeps it from starting is told by the task that needs it."""
        if self._latch is None:
            try:
                self._made_for = command.plain(self._owner)
                self._latch = Latch(self._made_for)
            except CannotStart:
                pass

    def take(self, wanted: Command) -> Child | None:
        """The one that waits, as a child of ``wanted``; None where there is none that can become that."""
        latch, made_for = self._latch, self._made_for
        if latch is None or made_for is None or not (line := _line(wanted)):
            return None
        env = {**made_for.env, TASK_VARIABLE: wanted.env[TASK_VARIABLE]}
        if (wanted.cwd, wanted.env, wanted.options) != (made_for.cwd, env, made_for.options):
            return None
        if latch.process.has_ended:  # by somebody else
            self.discard()
            return None
        self._latch = None
        return Child(latch, wanted.argv[0], line)

    def discard(self) -> None:
        """Have none; returns when it has ended."""
        if self._latch:
            self._latch.discard()
            self._latch = None


def _line(wanted: Command) -> bytes:
    """What has a latch that was started with nothing do what ``wanted`` does; empty if that cannot be said."""
    verb, argv = (DO, wanted.argv[2:]) if _is_a_line(wanted.argv) else (RUN, wanted.argv)
    words = "' '".join([word.replace("'", "'\\''") for word in argv])
    line = f"{verb} {wanted.env[TASK_VARIABLE]} '{words}'"
    return line.encode() if line.isascii() and line.isprintable() and len(line) <= _LINE_MAX else b""


def _is_a_line(argv: Sequence[str]) -> bool:
    """For this very shell; but `-c` takes what begins with - for an option, and a \\ at its end for itself."""
    if len(argv) != 3 or (argv[0], argv[1]) != (SHELL, "-c"):
        return False
    return not argv[2].startswith("-") and not argv[2].endswith("\\") and does_lines()
