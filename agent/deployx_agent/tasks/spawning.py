"""Starts the shell behind a latch, and waits for it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from deployx_agent.tasks.command import Command

_UMASK = 0o022


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


def start(program: Sequence[str], command: Command, pipes: tuple[int, int, int]) -> Process:
    """Start ``program`` in a session of its own, as ``command`` wants it, with ``pipes`` as its first descriptors.
    Raises OSError, ValueError."""
    options: dict[str, Any] = {"cwd": command.cwd, "env": command.env, **command.options}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        options |= {"start_new_session": True, "umask": _UMASK}
    stdin, stdout, stderr = pipes
    started = subprocess.Popen(program, stdin=stdin, stdout=stdout, stderr=stderr, **options)  # noqa: S603
    if sys.platform == "win32":
        return Process(started.pid, started)
    started.returncode = 0  # it is waited for by its id, so the library need not look for it
    return Process(started.pid)
