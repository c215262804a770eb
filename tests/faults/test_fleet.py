"""Fifty real agents under one real server: through kill -9 of either side presence is right, and no row is double."""

import signal

import pytest

from deployx_protocol.states import CAUSE_TEXT, StatusCause
from tests.conftest import MakeFleet, Operate, StartServer, WatchServer
from tests.support.node import eventually
from tests.support.server_process import Operator, ServerProcess

AGENTS = range(50)
STAYED_AWAY = range(5)
GRACE_S = 60
"""Longer than all of them need to return to a server that was killed, on a machine that is busy with other tests."""


async def assert_in_step(server: ServerProcess, operator: Operator, ids: list[int]) -> None:
    """The database says what the API says, about exactly these devices."""
    rows = await server.rows()
    assert [row.id for row in rows] == ids
    assert len({row.agent_id for row in rows}) == len({row.machine_id for row in rows}) == len(ids)
    said = {one["id"]: (one["status"], one["status_detail"]) for one in await operator.devices()}
    assert said == {row.id: (row.status, row.status_detail) for row in rows}


async def through_kills(
    database_url: str,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    watch_server: WatchServer,
) -> None:
    """Of the agents, of the server, of both."""
    server = await start_server(database_url, presence_grace=GRACE_S)
    operator = await operate(server)
    dashboard = await watch_server(server, operator.person.token)
    token = await operator.enrollment_token(max_uses=len(AGENTS))
    fleet = make_fleet(server.url, enrollment_token=token)

    await fleet.start_all(AGENTS)
    devices = await operator.until(len(AGENTS), status="online", trust="trusted", status_cause="registered")
    ids = sorted(one["id"] for one in devices)
    assert {one["status_detail"] for one in devices} == {"registered from 127.0.0.1"}
    await assert_in_step(server, operator, ids)

    # kill -9 of every agent
    await fleet.kill(*AGENTS)
    closed = CAUSE_TEXT[StatusCause.CONNECTION_CLOSED]
    gone = await operator.until(len(AGENTS), status="offline", status_detail=closed)
    await assert_in_step(server, operator, ids)
    for one in gone:
        await dashboard.change(agent_id=one["agent_id"], status="offline", cause="connection_closed")

    # the same machines again: the same rows
    await fleet.start_all(AGENTS)
    await operator.until(len(AGENTS), status="online")
    await assert_in_step(server, operator, ids)
    epochs = {row.id: row.session_epoch for row in await server.rows()}
    told = {row.id: len(await server.status_events(row.id)) for row in await server.rows()}

    # kill -9 of the server; some machines die while it is away: they are unknown, nobody else is called offline
    await server.kill()
    assert {row.status for row in await server.rows()} == {"online"}
    await fleet.kill(*STAYED_AWAY)
    await server.start()
    back = len(AGENTS) - len(STAYED_AWAY)
    returned = await operator.until(back, status="online")
    away = await operator.until(len(STAYED_AWAY), status="unknown")
    rows = {row.id: row for row in await server.rows()}
    assert sorted(rows) == ids
    for one in returned:
        assert rows[one["id"]].session_epoch > epochs[one["id"]]
        assert len(await server.status_events(one["id"])) == told[one["id"]]

    # once more, and this time their grace ends
    epochs = {row.id: row.session_epoch for row in await server.rows()}
    await server.kill()
    server.env["DEPLOYX_PRESENCE_GRACE"] = "1"
    await server.start()
    lost = await operator.until(
        len(STAYED_AWAY), status="offline", status_detail=CAUSE_TEXT[StatusCause.SERVER_LOST], among=away
    )
    assert {one["status_cause"] for one in lost} == {"server_lost"}
    here = {one["id"] for one in returned}

    async def all_are_back() -> bool:  # on PostgreSQL the rows of a killed server stay online until its lease ends
        return all(row.session_epoch > epochs[row.id] for row in await server.rows() if row.id in here)

    await eventually(all_are_back, within_s=90, what="a new registration of each")
    await operator.until(back, status="online")
    await assert_in_step(server, operator, ids)

    # the server stops in order and starts again: agents come back by themselves
    assert await server.stop() == 0
    stopped = {(row.status, row.status_cause) for row in await server.rows() if row.id in here}
    assert stopped == {("offline", "server_shutdown")}
    await server.start()
    await operator.until(back, status="online")
    await fleet.start_all(STAYED_AWAY)
    await operator.until(len(AGENTS), status="online")
    await assert_in_step(server, operator, ids)
    for agent in fleet.running.values():
        assert agent.process.returncode is None
        agent.process.send_signal(signal.SIGTERM)
    for agent in fleet.running.values():
        assert await agent.end() == 0
    left = await operator.until(len(AGENTS), status="offline", status_cause="agent_leaving")
    assert {one["status_detail"] for one in left} == {"the agent stopped: SIGTERM"}
    await assert_in_step(server, operator, ids)


@pytest.mark.databases("sqlite")
@pytest.mark.timeout(600)
async def test_fifty_agents_through_kill_of_either_side(
    database_url: str,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    watch_server: WatchServer,
) -> None:
    await through_kills(database_url, start_server, make_fleet, operate, watch_server)


@pytest.mark.soak
@pytest.mark.databases("postgresql")
@pytest.mark.timeout(600)
async def test_fifty_agents_through_kill_of_either_side_on_postgresql(
    database_url: str,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    watch_server: WatchServer,
) -> None:
    await through_kills(database_url, start_server, make_fleet, operate, watch_server)
