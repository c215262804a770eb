"""Starts the shell behind a latch, and waits for it.

``popen`` does whatever a command asks for. ``spawn`` costs the agent half of that: the system does all of it in one
call. It knows no other user and no folder, which is enough for a shell that is started in advance.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from deployx_agent.tasks.command import Command

UMASK = 0o022
SPAWNS = sys.platform == "linux"
"""Whether there is ``spawn``."""


class Process:
    """One that was started; ``handle`` is what waits for it where its id is not enough. Nobody else waits for it."""

    def __init__(self, pid: int, handle: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid = pid
        self._handle = handle
        self._code: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by now."""
        if sys.platform == "win32":
            return self._handle is not None and self._handle.poll() is not None
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid:
            self._code = os.waitstatus_to_exitcode(status)
        return pid != 0

    def wait(self) -> int:
        """Until it has ended: its exit code, or the number of its signal, negative."""
        if self._handle:
            return self._handle.wait()
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


def popen(program: Sequence[str], command: Command, pipes: tuple[int, int, int]) -> Process:
    """Start ``program`` in a session of its own, as ``command`` wants it, with ``pipes`` as its first descriptors.
    Raises OSError, ValueError."""
    options: dict[str, Any] = {"cwd": command.cwd, "env": command.env, **command.options}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        options |= {"start_new_session": True, "umask": UMASK}
    stdin, stdout, stderr = pipes
    started = subprocess.Popen(program, stdin=stdin, stdout=stdout, stderr=stderr, **options)  # noqa: S603
    if sys.platform == "win32":
        return Process(started.pid, started)
    started.returncode = 0  # it is waited for by its id, so the library need not look for it
    return Process(started.pid)


def spawn(program: list[str], env: dict[str, str], pipes: tuple[int, int, int]) -> Process:
    """Start ``program`` in a session of its own, in this folder and with this mask. Raises OSError."""
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, pipe, at) for at, pipe in enumerate(pipes)]
    actions += _closings()
    defaults = [signal.SIGPIPE, signal.SIGXFSZ]  # which Python ignores
    return Process(os.posix_spawn(program[0], program, env, file_actions=actions, setsid=True, setsigdef=defaults))


@cache
def _closings() -> list[tuple[int, ...]]:
    """How to keep from a child what whoever started this agent has left open in it; of all else no child has any."""
    left_open: list[tuple[int, ...]] = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):  # the list itself was one
            if int(name) > 2 and os.get_inheritable(int(name)):
                left_open.append((os.POSIX_SPAWN_CLOSE, int(name)))
    return left_open
