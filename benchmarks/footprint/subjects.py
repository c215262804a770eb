"""What is measured: our agent, a bare client of common libraries, a Salt minion; each starts as on a new machine."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from footprint import children, kernel
from footprint.kernel import Memory
from footprint.servers import Master

_REGISTER_S = 60.0
_PATIENCE_S = 3.0


class NotMeasured(Exception):
    """There is no figure; the message says why."""


@dataclass(frozen=True, slots=True)
class Start:
    """How to start one instance, and what it says once its server has registered it."""

    command: tuple[str | Path, ...]
    registered: str
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """One row of the table."""

    title: str
    slug: str
    start: Callable[[Path], Start]
    """From an empty folder of its own."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    registered_ms: float
    cpu_ms: float
    """Processor time spent until then."""
    memory: Memory


async def measure(subject: Subject, folder: Path, settle_s: float) -> Figures:
    """Start it in ``folder``, time it, let it idle, weigh it, end it. Raises NotMeasured."""
    folder.mkdir()
    start = subject.start(folder)
    env = children.environment(**start.settings)
    started = time.perf_counter()
    async with children.running(start.command, env, folder, _PATIENCE_S) as process:
        try:
            await children.said(process, start.registered, _REGISTER_S)
        except RuntimeError as error:
            raise NotMeasured(f"{subject.title} did not register: {error}") from None
        registered_ms = (time.perf_counter() - started) * 1000
        cpu_ms = kernel.cpu_ms(process.pid)
        reading = asyncio.ensure_future(children.drained(process))
        await asyncio.sleep(settle_s)
        weighed = kernel.memory(process.pid)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return Figures(registered_ms, cpu_ms, weighed)


def agent(origin: str, ca_file: Path | None = None) -> Subject:
    """Ours, as its service starts it; over TLS, ``ca_file`` is the authority that it trusts."""

    def start(folder: Path) -> Start:
        settings = {"server_url": origin, "state_dir": str(folder), "machine_id": folder.name}
        settings |= {"ca_file": str(ca_file)} if ca_file else {}
        return Start((sys.executable, "-m", "deployx_agent", "run"), "[INFO] Registration successful", settings)

    return Subject("DeployX agent, TLS", "agent-tls", start) if ca_file else Subject("DeployX agent", "agent", start)


def bare_client(origin: str) -> Subject:
    """The libraries alone."""
    program = Path(__file__).with_name("bare_client.py")
    return Subject(
        "bare python-socketio + aiohttp client",
        "bare",
        lambda folder: Start((sys.executable, program, origin, folder.name), "registered"),
    )


def salt_minion(programs: Path, master: Master) -> Subject:
    """Salt's, with its defaults."""

    def start(folder: Path) -> Start:
        (folder / "minion").write_text(
            f"master: 127.0.0.1\nmaster_port: {master.ret_port}\npublish_port: {master.publish_port}\n"
            f"id: {folder.name}\nroot_dir: {folder}\npki_dir: {folder}/pki\nlog_level: info\n"
        )
        return Start((programs / "salt-minion", "-c", folder), "Minion is ready to receive requests!")

    return Subject("Salt minion", "salt", start)
