"""Real agents and a real server: each way in which an agent ends, what it exits with, and what its device then says."""

import os
import signal

import pytest

from deployx_protocol.states import CAUSE_TEXT, StatusCause
from deployx_protocol.tokens import new_enrollment_token
from tests.conftest import MakeFleet, Operate, StartServer, WatchServer
from tests.support.agent_process import read_json


@pytest.mark.databases("sqlite")
async def test_sigterm_of_an_agent_is_told_at_once_with_its_reason(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate, watch_server: WatchServer
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    dashboard = await watch_server(server, operator.person.token)
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token())
    agent = await fleet.start(1)
    [device] = await operator.until(1, status="online")
    await dashboard.change(agent_id=device["agent_id"], status="online")
    assert await agent.end(signal.SIGTERM) == 0
    told = await dashboard.change(agent_id=device["agent_id"], status="offline")
    assert (told["cause"], told["detail"]) == ("agent_leaving", "the agent stopped: SIGTERM")
    [row] = await server.rows()
    assert (row.status, row.status_cause, row.last_seen) == ("offline", "agent_leaving", row.status_since)


async def test_kill_of_an_agent_is_a_connection_that_closed(
    sqlite_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(sqlite_url)
    operator = await operate(server)
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token())
    await fleet.start(1)
    await operator.until(1, status="online")
    await fleet.kill(1)
    [device] = await operator.until(1, status="offline")
    assert device["status_detail"] == CAUSE_TEXT[StatusCause.CONNECTION_CLOSED]
    shown = await operator.ask("GET", f"/devices/{device['id']}/status-events")
    assert [(event["status"], event["cause"]) for event in shown["items"]] == [
        ("offline", "connection_closed"),
        ("online", "registered"),
    ]


async def test_an_outage_that_outlasts_the_attempts_ends_the_agent_with_69(
    sqlite_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(sqlite_url)
    operator = await operate(server)
    token = await operator.enrollment_token()
    fleet = make_fleet(server.url, enrollment_token=token, reconnect_delay=0.01, reconnect_attempts=3)
    agent = await fleet.start(1)
    await operator.until(1, status="online")
    await server.kill()
    assert await agent.end() == 69
    assert agent.log.count("Connecting to server...") == 1 + 3
    assert "No attempts left" in agent.log
    await server.start()
    again = await fleet.start(1)
    [device] = await operator.until(1, status="online")
    await again.logged("Registration successful")
    assert device["id"] == (await server.rows())[0].id


@pytest.mark.databases("sqlite")
async def test_a_wrong_token_ends_the_agent_with_77_and_writes_nothing(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    fleet = make_fleet(server.url, enrollment_token=new_enrollment_token(server.url))
    agent = await fleet.start(1)
    assert await agent.end() == 77
    assert "code=invalid_credentials" in agent.log
    assert await operator.devices() == []
    assert await server.rows() == []


async def test_fault_11_a_second_agent_on_one_state_folder_ends_with_75(
    sqlite_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(sqlite_url)
    operator = await operate(server)
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token())
    first = await fleet.start(1)
    await operator.until(1, status="online")
    second = await fleet.start(1)
    assert await second.end() == 75
    assert f"Another agent (process {first.process.pid}) is using the state folder" in second.log
    assert first.process.returncode is None
    await operator.until(1, status="online", trust="trusted")
    assert len(await server.status_events((await server.rows())[0].id)) == 1


async def test_fault_12_a_copied_state_folder_quarantines_both_and_can_be_split(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token(), machine_id=None)
    await fleet.start(1)
    await operator.until(1, status="online", trust="trusted")
    fleet.copy(1, 2)
    copy = await fleet.start(2)
    [device] = await operator.until(1, trust="quarantined")
    await copy.logged("Registration successful")
    [claim] = await operator.claims()
    assert (claim["kind"], claim["device_id"], claim["connected"]) == ("cloned", device["id"], True)
    assert len(await server.rows()) == 1

    await operator.ask("POST", f"/claims/{claim['id']}/split")
    devices = await operator.until(2, status="online", trust="trusted")
    assert len({one["agent_id"] for one in devices}) == len({one["machine_id"] for one in devices}) == 2
    assert await operator.claims() == []
    original, copied = (read_json(fleet.state_dir(number) / "agent_key.json") for number in (1, 2))
    assert original["public_key"] != copied["public_key"]


async def test_fault_13_a_damaged_machine_id_is_set_aside_and_the_device_stays_the_same(
    sqlite_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(sqlite_url)
    operator = await operate(server)
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token(), machine_id=None)
    agent = await fleet.start(1)
    [before] = await operator.until(1, status="online")
    assert await agent.end(signal.SIGTERM) == 0
    damaged = fleet.state_dir(1) / "machine_id.json"
    damaged.write_bytes(os.urandom(40))
    agent = await fleet.start(1)
    await agent.logged("machine_id.json cannot be used")
    await agent.logged("Registration successful")
    [after] = await operator.until(1, status="online")
    assert after["id"] == before["id"]
    assert read_json(damaged)["machine_id"] == after["machine_id"]
    assert len(list(fleet.state_dir(1).glob("machine_id.json.*"))) == 1
    assert len(await server.rows()) == 1


@pytest.mark.databases("sqlite")
async def test_a_server_that_stops_says_so_and_its_agents_come_back_by_themselves(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token(), reconnect_attempts=10)
    agent = await fleet.start(1)
    await operator.until(1, status="online")
    assert await server.stop() == 0
    [row] = await server.rows()
    assert (row.status, row.status_cause, row.status_detail) == ("offline", "server_shutdown", "the server stopped")
    await agent.logged("The server ended the session  code=server_shutdown")
    await server.start()
    await operator.until(1, status="online")
    assert agent.process.returncode is None
    assert [event.cause for event in await server.status_events(row.id)] == [
        "registered",
        "server_shutdown",
        "registered",
    ]
