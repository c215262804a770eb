"""The database is away while real agents come and go; ten seconds after it is back nobody has a wrong status."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from tests.conftest import MakeFleet, Operate, StartServer
from tests.support import postgres

AGENTS = range(6)
RIGHT_AGAIN_S = 10.0


@pytest.fixture
def own_postgres() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL that this test alone may stop."""
    with postgres.throwaway() as server:
        yield server


@pytest.mark.parametrize(
    "outage_s", [pytest.param(2, marks=pytest.mark.serial), pytest.param(30, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(300)
async def test_fault_04_real_agents_come_and_go_while_the_database_is_away(
    own_postgres: postgres.PostgresServer,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    outage_s: float,
) -> None:
    server = await start_server(own_postgres.create_database())
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=len(AGENTS))
    fleet = make_fleet(server.url, enrollment_token=token)
    await fleet.start_all(AGENTS)
    await operator.until(len(AGENTS), status="online")
    await fleet.kill(0, 1)
    await operator.until(2, status="offline")

    await asyncio.to_thread(own_postgres.stop, immediate=False)
    await fleet.start(0)  # comes
    await fleet.kill(2)  # goes, without a word
    assert await fleet.running.pop(3).end(signal.SIGTERM) == 0  # goes, with one
    await fleet.kill(4)  # goes and comes back
    await fleet.start(4)
    await fleet.running[0].logged("code=server_unavailable")
    await asyncio.sleep(outage_s)  # what is tested is that so much time passes
    assert fleet.running[5].process.returncode is None
    await asyncio.to_thread(own_postgres.start)

    await operator.until(3, within_s=RIGHT_AGAIN_S, status="online")
    by_machine = {one["machine_id"]: one["status"] for one in await operator.devices()}
    online = {f"machine-{number:02}" for number in (0, 4, 5)}
    assert {name for name, status in by_machine.items() if status == "online"} == online
    assert len(await server.rows()) == len(AGENTS)
    assert "database.unavailable" in server.log
    # the one that had nothing to do with it was never cut off
    assert fleet.running[5].log.count("Connecting to server...") == 1
