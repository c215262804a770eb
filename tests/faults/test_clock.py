"""Somebody sets the clock of an agent's machine, an hour ahead or back: its connection goes on."""

import signal
from datetime import datetime
from pathlib import Path

from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.node import eventually
from tests.support.server_process import ServerProcess

HOUR_S = 3600
BEATS = 2
SHIM = Path(__file__).parents[1] / "support" / "moved_clock"


async def test_fault_10_the_agents_clock_moves_an_hour_and_it_stays_online(
    sqlite_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate, tmp_path: Path
) -> None:
    server = await start_server(sqlite_url, ping_interval=0.5, ping_timeout=2, heartbeat_interval=0.3)
    operator = await operate(server)
    moved = tmp_path / "moved"
    moved.write_text("0")
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token(), pong_timeout=2)
    agent = await fleet.start(1, outside={"PYTHONPATH": str(SHIM), "MOVED_CLOCK": str(moved)})
    [device] = await operator.until(1, status="online")
    for moved_s in (-HOUR_S, HOUR_S):
        moved.write_text(str(moved_s))
        for _ in range(BEATS):
            await _next_heartbeat(server)
    assert agent.process.returncode is None
    assert agent.log.count("Connecting to server...") == 1
    assert "Disconnected" not in agent.log
    assert await agent.end(signal.SIGTERM) == 0
    first, last = (datetime.fromisoformat(line.split()[0]) for line in (agent.lines[0], agent.lines[-1]))
    assert (last - first).total_seconds() > HOUR_S / 2, "its clock was never moved"
    await operator.until(1, status="offline")
    assert [event.cause for event in await server.status_events(device["id"])] == ["registered", "agent_leaving"]


async def _next_heartbeat(server: ServerProcess) -> None:
    [before] = await server.rows()

    async def seen() -> bool:
        [row] = await server.rows()
        return bool(row.last_seen and before.last_seen and row.last_seen > before.last_seen)

    await eventually(seen, what="a heartbeat")
