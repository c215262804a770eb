"""A network that loses what is sent, with real agents behind a proxy: nobody stays online who cannot be reached."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.fleet import Fleet
from tests.support.postgres import free_port
from tests.support.proxy import Proxy, proxying
from tests.support.server_process import Operator, ServerProcess

PINGS = {"ping_interval": 0.5, "ping_timeout": 1.0, "heartbeat_interval": 0.5}
NOTICED_S = 15.0
"""Ping interval and time-out make 1.5 s; the rest is for a machine that is busy."""


@pytest.fixture
async def line(
    sqlite_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> AsyncIterator[tuple[Proxy, ServerProcess, Operator, Fleet]]:
    """A server, one agent that reaches it through a proxy, and the proxy."""
    async with proxying(free_port()) as proxy:
        server = await start_server(sqlite_url, public_url=proxy.url, **PINGS)
        proxy.server_port = server.port
        operator = await operate(server)
        token = await operator.enrollment_token(origin=proxy.url)
        fleet = make_fleet(None, enrollment_token=token, connect_timeout=1, pong_timeout=2)
        await fleet.start(1)
        await operator.until(1, status="online")
        yield proxy, server, operator, fleet


Line = tuple[Proxy, ServerProcess, Operator, Fleet]


async def causes(server: ServerProcess) -> list[str]:
    [row] = await server.rows()
    return [event.cause for event in await server.status_events(row.id)]


async def test_fault_08_a_partition_ends_in_offline_and_its_end_in_online(line: Line) -> None:
    proxy, server, operator, fleet = line
    proxy.partition()
    [device] = await operator.until(1, status="offline", within_s=NOTICED_S)
    assert device["status_cause"] == "ping_timeout"
    assert device["status_detail"] == "no pong for 1 s"
    await fleet.running[1].logged("Disconnected from server")
    proxy.heal()
    await operator.until(1, status="online")
    assert fleet.running[1].process.returncode is None
    assert await causes(server) == ["registered", "ping_timeout", "registered"]


async def test_fault_09_what_the_agent_says_is_lost(line: Line) -> None:
    proxy, server, operator, _fleet = line
    proxy.drop_to_server = True
    [device] = await operator.until(1, status="offline", within_s=NOTICED_S)
    assert device["status_cause"] == "ping_timeout"
    proxy.heal()
    await operator.until(1, status="online")
    assert await causes(server) == ["registered", "ping_timeout", "registered"]


async def test_fault_09_what_the_server_says_is_lost(line: Line) -> None:
    proxy, server, operator, fleet = line
    proxy.drop_to_agent = True
    [device] = await operator.until(1, status="offline", within_s=NOTICED_S)
    assert device["status_cause"] in ("ping_timeout", "connection_closed")  # whichever side notices first
    await fleet.running[1].logged("Disconnected from server")
    proxy.heal()
    await operator.until(1, status="online")
    assert len(await causes(server)) == 3


async def test_a_half_open_connection_leaves_no_ghost(line: Line) -> None:
    proxy, server, operator, fleet = line
    proxy.partition()
    await fleet.kill(1)  # its goodbye, and the end of its connection, never arrive
    [device] = await operator.until(1, status="offline", within_s=NOTICED_S)
    assert device["status_cause"] == "ping_timeout"
    assert await causes(server) == ["registered", "ping_timeout"]


async def test_an_agent_that_returns_before_its_old_connection_is_missed_stays_online(line: Line) -> None:
    proxy, server, operator, fleet = line
    proxy.partition()
    await fleet.kill(1)
    proxy.heal()  # the old connection stays half-open: the proxy still holds it
    before = proxy.connections
    await fleet.start(1)
    await fleet.running[1].logged("Registration successful")
    assert proxy.connections > before
    await operator.until(1, status="online")
    await fleet.running[1].logged("Agent ready")
    [row] = await server.rows()
    assert row.session_epoch > 1
