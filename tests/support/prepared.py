"""Our commands as a shell starts them, without their loading: a process that has loaded one forks for each start.

For tests without an event loop; ``zygote.py`` is for those with one. What is forked has the arguments, the environment,
the folder and the streams that it is given, can be sent signals, and ends with a code; nothing that it does is seen by
the next. How a command loads is for the tests that start the installed one.
"""

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.support import zygote

_MESSAGE_MAX = 65_536
_POLL_S = 0.005


class Started:
    """A process that was forked; the part of ``subprocess.Popen`` that tests use."""

    def __init__(self, words: IO[str]) -> None:
        self._words = words
        self.pid = int(words.readline())
        os.set_blocking(words.fileno(), False)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or its signal, negative; None while it runs."""
        if self.returncode is None and (said := self._words.readline()):
            self.returncode = int(said)
            self._words.close()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The same, once it has ended. Raises TimeoutError."""
        give_up = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > give_up:
                raise TimeoutError(f"process {self.pid} has not ended within {timeout:g} s")
            time.sleep(_POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing happens to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def start(
    side: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    streams: tuple[IO[Any], IO[Any], IO[Any]],
    folder: Path | None = None,
) -> Started:
    """The command of ``side`` with these arguments, on what it has for stdin, stdout and stderr, in ``folder``."""
    wanted = {"arguments": list(arguments), "env": dict(env), "folder": str(folder or Path.cwd())}
    told, tell = os.pipe()
    socket.send_fds(_loaded(side), [json.dumps(wanted).encode()], [*(one.fileno() for one in streams), tell])
    os.close(tell)
    return Started(os.fdopen(told, encoding="ascii"))


def run(
    side: str, arguments: Sequence[str], env: Mapping[str, str], stdin: bytes = b"", *, timeout_s: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """What the command printed, and how it ended."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        started = start(side, arguments, env, (given, out, err))
        try:
            code = started.wait(timeout_s)
        finally:
            started.send_signal(signal.SIGKILL)
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess([side, *arguments], code, out.read(), err.read())


@functools.cache
def _loaded(side: str) -> socket.socket:
    """The way to the process that forks, which lives as long as the tests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", __name__, side, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=zygote.ROOT)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# ---------------------------------------------------------------- the process that forks


def _serve(side: str, theirs: socket.socket) -> None:
    program = zygote.program(side)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(theirs, _MESSAGE_MAX, 4)
        if not message:
            return
        if os.fork() == 0:
            theirs.close()
            _attend(program, json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _attend(program: Any, wanted: dict[str, Any], descriptors: list[int]) -> None:
    """Be the parent of the command, and tell who it is and how it ends. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, tell = descriptors
    child = os.fork()
    if child == 0:
        os.close(tell)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(wanted["folder"])
        zygote.become(program, wanted["env"], wanted["arguments"])
    for descriptor in streams:
        os.close(descriptor)
    os.write(tell, b"%d\n" % child)
    _, status = os.waitpid(child, 0)
    os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
