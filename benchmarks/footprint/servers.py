"""The servers to register with: a real DeployX server, a real Salt master."""

import asyncio
import contextlib
import socket
import subprocess
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
async def deployx(folder: Path, *, tls: bool = False) -> AsyncIterator[str]:
    """The origin of a server on SQLite that lets every agent register; with ``tls`` it has a certificate of its own."""
    folder.mkdir(parents=True)
    port = free_port()
    settings = {"port": str(port), "data_dir": str(folder), "enrollment": "approval"}
    if tls:
        _make_certificate(folder)
        settings |= {"tls_certificate": str(certificate(folder)), "tls_key": str(folder / "key.pem")}
    command = (Path(sys.executable).parent / "deployx-server", "serve")
    env = children.environment(**settings)
    async with children.running(command, env, folder) as process, _listening(process, port):
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


def certificate(folder: Path) -> Path:
    """What a client of the server in ``folder`` has to trust."""
    return folder / "certificate.pem"


def _make_certificate(folder: Path) -> None:
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    name = ("-subj", "/CN=deployx-benchmark", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("-keyout", folder / "key.pem", "-out", certificate(folder))
    subprocess.run(("openssl", "req", *kind, *name, *made), check=True, capture_output=True, timeout=60)


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
