"""One whole server under a fleet and its dashboards: what it takes, as the kernel accounts for it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from delivery import fleets
from delivery.progress import say
from delivery.report import p99
from footprint.kernel import cpu_ms, memory
from whole import dashboards
from whole.agents import Fleet

CHANGES = 10_000
FEW = 1_000
TURNS = 3
"""How often states change without and with dashboards: a machine is not always as fast, and the difference is small."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds."""

    beat_s: float = 30.0
    """Within which each agent sends a heartbeat."""
    flap_s: float = 10.0
    """Within which states change `CHANGES` times."""
    settled_s: float = 3.0
    """After which the server has saved and told what it gathers."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one server with so many agents; CPU is the server's own, not its database's."""

    database: str
    agents: int
    enrolled_per_s: float
    """Machines nobody knew, each a new device with a key."""
    returned_per_s: float
    """The same once more: the storm after a restart."""
    return_us: float
    """CPU for each of them."""
    rss_mib: float
    agent_kib: float
    beats_percent: float
    """Of a core, for one heartbeat of each agent within half a minute."""
    beat_p99_ms: float
    few_p99_ms: float
    """From the request for a run until 1,000 agents have their task."""
    all_p99_ms: float
    """The same for all of them."""
    watched_percent: float
    """Of a core, while states change 10,000 times in ten seconds: what the dashboards add."""


async def measure(folder: Path, database: str, url: str, count: int, watchers: int, pace: Pace) -> Figures:
    """A fresh server on ``url``, or on SQLite; ``count`` agents come, beat, go, and are given work."""
    async with fleets.server(folder, url) as at:
        pid = at.pid
        fleet = Fleet(at.url, count, await at.enrollment_token(count))
        empty = memory(pid).rss
        say(f"{count} agents enrol")
        enrolled_s = await fleet.come()
        await asyncio.sleep(pace.settled_s)
        await fleet.leave()
        await asyncio.sleep(pace.settled_s)
        say("they come back")
        before = cpu_ms(pid)
        returned_s = await fleet.come()
        return_us = (cpu_ms(pid) - before) / count * 1000
        await asyncio.sleep(pace.settled_s)
        rss = memory(pid).rss
        say("they beat")
        await fleet.beat(pace.beat_s)
        before = cpu_ms(pid)
        beats = await fleet.beat(pace.beat_s)
        await asyncio.sleep(pace.settled_s)
        beats_percent = (cpu_ms(pid) - before) / (pace.beat_s * 1000) * 100
        say("they are given a task each")
        some = {"device_ids": await at.device_ids(min(FEW, count))}
        few = await fleet.handed(lambda: at.started(some), min(FEW, count))
        await asyncio.sleep(pace.settled_s)
        handed = await fleet.handed(lambda: at.started({"selector": "*"}), count)
        await asyncio.sleep(2 * pace.settled_s)
        say(f"they come and go, without dashboards and with {watchers}, {TURNS} times each")
        alone_ms = watched_ms = 0.0
        for _ in range(TURNS):
            alone_ms += await _flapping(fleet, pid, pace) / TURNS
            looking = await dashboards.opened(at.url, at.token, watchers)
            watched_ms += await _flapping(fleet, pid, pace) / TURNS
            if not all(one.changes for one in looking):
                raise RuntimeError("a dashboard was told nothing")
            dashboards.closed(looking)
            await asyncio.sleep(pace.settled_s)
        await fleet.leave()
    return Figures(
        database,
        count,
        count / enrolled_s,
        count / returned_s,
        return_us,
        rss / 2**20,
        (rss - empty) / count / 1024,
        beats_percent,
        p99(beats) * 1000,
        p99(few) * 1000,
        p99(handed) * 1000,
        (watched_ms - alone_ms) / (pace.flap_s * 1000) * 100,
    )


async def _flapping(fleet: Fleet, pid: int, pace: Pace) -> float:
    """The server's CPU, milliseconds."""
    before = cpu_ms(pid)
    await fleet.flap(min(CHANGES, 2 * len(fleet.agents)), pace.flap_s)
    await asyncio.sleep(pace.settled_s)
    return cpu_ms(pid) - before
