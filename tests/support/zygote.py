"""Agents and servers that start in a moment: a process that has loaded the product forks one for each start.

Most of a start is the loading of modules. Where a test starts the same program a hundred times, that is done once. What
is forked is a process like any other: it has its own environment, its own output, and can be killed.
"""

import asyncio
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_MESSAGE_MAX = 65_536
_PYTHONPATH = os.environ.get("PYTHONPATH")
_MODULES = {
    "server": ("app.cli", "app.commands", "app.serve", "app.main"),
    "agent": (
        "deployx_agent.cli",
        *("deployx_agent.agent", "deployx_agent.connection.keeper", "deployx_agent.connection.socketio_transport"),
    ),
    "deployx": ("deployx_cli.main", "deployx_cli.http", "deployx_cli.tables"),
}
"""The program, and what it imports later on."""


class Forked:
    """One process that was forked; the part of ``asyncio.subprocess.Process`` that tests use."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader | None, stderr: asyncio.StreamReader | None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self.ended.result() if self.ended.done() else None

    def send_signal(self, number: int) -> None:
        """Nothing happens to one that has ended."""
        if not self.ended.done():
            os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its exit code, or its signal, negative."""
        return await asyncio.shield(self.ended)


class Zygote:
    """Starts processes, and hears how they end."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._running: dict[int, Forked] = {}
        self._dead: dict[int, int] = {}
        self._turn = asyncio.Lock()

    async def start(self, env: Mapping[str, str], *arguments: str, label: str = "", log: Path | None = None) -> Forked:
        """The product with these arguments, which dies at the point ``label`` (``crash_points.py``). Its output goes to
        ``log``, or else is read from ``stdout`` and ``stderr``. What it is loaded from is settled by now."""
        assert env.get("PYTHONPATH") == _PYTHONPATH, "a process that has loaded its modules looks for none there"
        theirs: list[int] = []
        readers: list[asyncio.StreamReader | None] = []
        for _ in range(2):
            if log:
                theirs.append(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
                readers.append(None)
            else:
                out, into = os.pipe()
                theirs.append(into)
                readers.append(await _reader(out))
        message = json.dumps({"env": dict(env), "arguments": arguments, "label": label}).encode()
        async with self._turn:
            socket.send_fds(self._socket, [message], theirs)
            for descriptor in theirs:
                os.close(descriptor)
            forked = Forked(await self._born.get(), *readers)
        assert forked.pid, "the zygote has ended; its complaint is on stderr"
        if forked.pid in self._dead:
            forked.ended.set_result(self._dead.pop(forked.pid))
        else:
            self._running[forked.pid] = forked
        return forked

    def listen(self) -> None:
        """Take what the zygote says: who was born, who has died."""
        try:
            message = self._socket.recv(_MESSAGE_MAX)
        except ConnectionError:
            message = b""
        if not message:
            asyncio.get_running_loop().remove_reader(self._socket)
        said: dict[str, Any] = json.loads(message or '{"pid": 0}')
        if "code" not in said:
            self._born.put_nowait(said["pid"])
        elif forked := self._running.pop(said["pid"], None):
            forked.ended.set_result(said["code"])
        else:
            self._dead[said["pid"]] = said["code"]


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


class Zygotes:
    """The processes that fork, one for each side, loaded when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}
        self._made: dict[str, tuple[asyncio.AbstractEventLoop, Zygote]] = {}

    def of(self, side: str) -> Zygote:
        """A zygote for the running loop, which ends with it. Loops that take turns need ``Zygotes`` each."""
        if side not in self._loaded:
            self._loaded[side] = _load(side)
        loop = asyncio.get_running_loop()
        if side not in self._made or self._made[side][0] is not loop:
            self._made[side] = loop, Zygote(self._loaded[side][1])
            loop.add_reader(self._loaded[side][1], self._made[side][1].listen)
        return self._made[side][1]

    def end(self) -> None:
        """Nothing is started any more."""
        for process, ours in self._loaded.values():
            ours.close()
            process.wait()


def _load(side: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        arguments = [sys.executable, "-m", __name__, side, str(theirs.fileno())]
        process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=ROOT)
    ours.setblocking(False)
    return process, ours


# ---------------------------------------------------------------- the zygote itself


def _serve(side: str, theirs: socket.socket) -> int:
    started = program(side)
    gc.freeze()
    woken, waker = os.pipe()
    for descriptor in (woken, waker):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    children: set[int] = set()
    while True:
        watched: list[Any] = [theirs, woken]
        ready, _, _ = select.select(watched, [], [])
        if woken in ready:
            os.read(woken, _MESSAGE_MAX)
            _bury(children, theirs)
        if theirs in ready:
            message, descriptors, _, _ = socket.recv_fds(theirs, _MESSAGE_MAX, 2)
            if not message:
                for child in children:
                    os.kill(child, signal.SIGKILL)
                return 0
            wanted = json.loads(message)
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for descriptor in (woken, waker, theirs.detach()):
                    os.close(descriptor)
                _begin(started, side, wanted, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            children.add(child)
            theirs.send(json.dumps({"pid": child}).encode())


def program(side: str) -> Any:
    """The program of ``side``, loaded."""
    loaded = {name: importlib.import_module(name) for name in _MODULES[side]}
    return loaded[_MODULES[side][0]].main


def _bury(children: set[int], theirs: socket.socket) -> None:
    for child in list(children):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            children.discard(pid)
            theirs.send(json.dumps({"pid": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _begin(started: Any, side: str, wanted: dict[str, Any], descriptors: list[int]) -> None:
    """Never returns."""
    from tests.support import crash_points, killed_at, release_points

    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if wanted["label"]:
        points = crash_points.POINTS[side] | release_points.POINTS[side]
        killed_at.arm(points[wanted["label"]])
    become(started, wanted["env"], wanted["arguments"])


def become(started: Any, env: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Be this program, in an environment of its own, to the end. Never returns."""
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv[1:] = arguments
    code: Any = 1
    try:
        code = started() or 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    sys.exit(_serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))))
