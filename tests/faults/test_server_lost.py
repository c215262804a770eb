"""kill -9 of a server with a thousand agents: who may return is not called offline, who is gone not online."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.devices.models import StatusEvent
from deployx_protocol import events
from tests.conftest import Operate, StartServer, WatchServer
from tests.support import rows
from tests.support.node import eventually
from tests.support.peers import DashboardPeer
from tests.support.server_process import Operator, ServerProcess

AGENTS = 1_000
LOST = 300
"""So many die while the server is away."""
BACK = AGENTS - LOST
GRACE_S = 45
WITHIN_S = 60.0
ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def crowd(server: ServerProcess, first: int, last: int) -> AsyncIterator[None]:
    """The agents of these numbers, registered; they die with the process when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.crowd", server.url, str(first), str(last + 1)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # how each connection ended when the server was killed
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            assert await process.stdout.readline() == b"ready\n"
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def are(operator: Operator, **wanted: int) -> bool:
    """Whether so many devices are online, offline, unknown."""
    counts = await operator.ask("GET", "/stats")
    return all(counts[name] == number for name, number in wanted.items())


def told_offline(dashboard: DashboardPeer) -> set[str]:
    """Of whom a dashboard heard that they went."""
    changes = [payload for name, payload in dashboard.heard if name == events.DEVICE_STATUS_CHANGED]
    return {change["agent_id"] for change in changes if change["status"] == "offline"}


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.timeout(600)
async def test_fault_21_a_thousand_agents_are_unknown_until_they_return_or_the_grace_is_over(
    database_url: str, start_server: StartServer, operate: Operate, watch_server: WatchServer
) -> None:
    server = await start_server(
        database_url,
        enrollment="approval",
        anonymous_max=AGENTS,
        pending_devices_max=AGENTS,
        presence_grace=GRACE_S,
        ping_interval=5,  # the crowd wants to hear something now and then
    )
    async with server.db.write() as session:
        numbers = range(1, AGENTS + 1)
        session.add_all(rows.device(number, public_key=None, trust="unverified") for number in numbers)
    operator = await operate(server)
    async with crowd(server, 1, BACK), crowd(server, BACK + 1, AGENTS):
        assert await are(operator, online=AGENTS, offline=0, unknown=0)
        await server.kill()
    assert {row.status for row in await server.rows()} == {"online"}

    await server.start()
    dashboard = await watch_server(server, operator.person.token)
    await eventually(lambda: are(operator, online=0, offline=0, unknown=AGENTS), within_s=30, what="all unknown")
    async with crowd(server, 1, BACK):
        assert await are(operator, online=BACK, offline=0, unknown=LOST), "the grace was not over yet"
        assert {row.status for row in await server.rows()} == {"online"}
        await eventually(lambda: are(operator, online=BACK, offline=LOST), within_s=GRACE_S + 30, what="the grace")
        offline = {row.agent_id for row in await server.rows() if row.status == "offline"}
        assert offline == {f"agent-{number:05}" for number in numbers[BACK:]}
        await eventually(lambda: told_offline(dashboard) == offline, what="the news of each")
        async with server.db.read() as session:
            query = sa.select(StatusEvent.cause, sa.func.count()).group_by(StatusEvent.cause)
            causes = sorted([(cause, number) for cause, number in await session.execute(query)])
        assert causes == [("registered", AGENTS), ("server_lost", LOST)], "who came back was never away for people"
