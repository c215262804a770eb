"""The servers to register with: a real DeployX server, a real Salt master."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from footprint import children

_START_S = 120.0


@dataclass(frozen=True, slots=True)
class Master:
    """Where a Salt master listens, on 127.0.0.1."""

    publish_port: int
    ret_port: int


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def deployx(folder: Path) -> AsyncIterator[str]:
    """The origin of a server on SQLite that lets every agent register."""
    folder.mkdir(parents=True)
    port = free_port()
    env = children.environment(port=str(port), data_dir=str(folder), enrollment="approval")
    command = (Path(sys.executable).parent / "deployx-server", "serve")
    async with children.running(command, env, folder) as process, _listening(process, port):
        yield f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def salt_master(programs: Path, folder: Path, *, worker_threads: int = 1) -> AsyncIterator[Master]:
    """A Salt master that accepts every minion."""
    folder.mkdir(parents=True)
    master = Master(free_port(), free_port())
    (folder / "master").write_text(
        f"interface: 127.0.0.1\npublish_port: {master.publish_port}\nret_port: {master.ret_port}\nauto_accept: true\n"
        f"root_dir: {folder}\nworker_threads: {worker_threads}\nlog_level: warning\npki_dir: {folder}/pki\n"
    )
    command = (programs / "salt-master", "-c", folder)
    async with (
        children.running(command, children.environment(), folder) as process,
        _listening(process, master.ret_port),
    ):
        yield master


@contextlib.asynccontextmanager
async def _listening(process: asyncio.subprocess.Process, port: int) -> AsyncIterator[None]:
    reading = asyncio.ensure_future(children.drained(process))
    try:
        async with asyncio.timeout(_START_S):
            while not await _answers(port):
                if process.returncode is not None:
                    raise RuntimeError(f"the server ended with {process.returncode} before it listened")
                await asyncio.sleep(0.05)
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
