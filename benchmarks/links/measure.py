"""One server under one crowd: what it takes, as the kernel accounts for it."""

import asyncio
import contextlib
import signal
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from delivery.report import p99
from footprint.kernel import cpu_ms, memory
from links.crowd import Crowd

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
START_S = 120.0
FAN_OUTS = 10
SERVERS: dict[str, tuple[str | Path, ...]] = {
    "DeployX": (sys.executable, "-m", "links.own_server"),
    "python-socketio": (sys.executable, "-m", "links.library_server"),
    "node socket.io": ("node", HERE / "node_server.mjs", ROOT / "frontend" / "package.json"),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one server with so many agents."""

    server: str
    agents: int
    registered_per_s: float
    registration_us: float
    """CPU of the server for a handshake, CONNECT and a registration."""
    agent_kib: float
    """Resident memory for each agent."""
    heartbeat_us: float
    heartbeat_p99_ms: float
    event_us: float
    """CPU of the server for an event to an agent, the agent's event back, and the acknowledgement of that."""
    events_per_s: float
    event_p99_ms: float


def typical(found: Sequence[Figures]) -> Figures:
    """The median of each figure of one server."""
    first = found[0]
    numbers = [field.name for field in fields(Figures) if field.name not in ("server", "agents")]
    return replace(first, **{name: statistics.median(getattr(each, name) for each in found) for name in numbers})


@contextlib.asynccontextmanager
async def _served(command: tuple[str | Path, ...]) -> AsyncIterator[tuple[int, str]]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=HERE.parent)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        if not line:
            raise RuntimeError(f"{command[-1]} did not start")
        yield process.pid, line.decode().strip()
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def _profiled(pid: int, path: Path | None) -> AsyncIterator[None]:
    """py-spy watches the process meanwhile, and writes to ``path`` where its time went."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    command = (Path(sys.executable).with_name("py-spy"), "record", "--native", "--rate", "250", "--output", path)
    watching = await asyncio.create_subprocess_exec(*command, "--pid", str(pid), stdout=asyncio.subprocess.PIPE)
    try:
        assert watching.stdout is not None
        if not await asyncio.wait_for(watching.stdout.readline(), START_S):  # "Sampling process …"
            raise RuntimeError("py-spy did not start")
        yield
    finally:
        if watching.returncode is None:
            watching.send_signal(signal.SIGINT)
        await watching.communicate()


async def measure(server: str, agents: int, spread_s: float, profiles: Path | None = None) -> Figures:
    """Start ``server``, let ``agents`` come, beat within ``spread_s`` and answer.

    With ``profiles`` that folder gets a flame graph of the storm and one of the fan-out; the figures are worse for it.
    Raises TimeoutError when it does not keep up at all.
    """
    storm, fan_out = (profiles / f"{name}-{agents}.svg" if profiles else None for name in ("storm", "fan-out"))
    async with _served(SERVERS[server]) as (pid, url):
        warm = Crowd(url)
        await warm.come(20)
        await warm.fan_out()
        await warm.leave()
        await asyncio.sleep(1)
        crowd = Crowd(url)
        empty, before = memory(pid).rss, cpu_ms(pid)
        async with _profiled(pid, storm):
            came_s = await crowd.come(agents)
        registration_us = (cpu_ms(pid) - before) / agents * 1000
        await asyncio.sleep(1)
        agent_kib = (memory(pid).rss - empty) / agents / 1024
        before = cpu_ms(pid)
        beats = await crowd.heartbeats(spread_s)
        heartbeat_us = (cpu_ms(pid) - before) / agents * 1000
        before = cpu_ms(pid)
        async with _profiled(pid, fan_out):
            events = [await crowd.fan_out() for _ in range(FAN_OUTS)]
        event_us = (cpu_ms(pid) - before) / agents / FAN_OUTS * 1000
        best = min(events, key=max)
        await crowd.leave()
    return Figures(
        server,
        agents,
        agents / came_s,
        registration_us,
        agent_kib,
        heartbeat_us,
        p99(beats) * 1000,
        event_us,
        agents / max(best),
        p99(best) * 1000,
    )
