"""The specification's flow from end to end: register, be seen, keep alive, leave; every step on a real socket."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from app.accounts.permissions import Role
from app.clock import iso, utcnow
from deployx_protocol import events
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.node import Lines, RunningNode, Serve, eventually
from tests.support.peers import Watch
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson


async def test_a_registration_makes_a_row_with_every_column(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    before = utcnow()
    web = agent(node, Machine(hostname="DESKTOP-ABC123"))
    success = await web.start()
    assert success["agent_id"] == web.machine.agent_id
    [row] = await node.devices()
    seed = web.machine.seed()
    assert {name: getattr(row, name) for name in seed} == seed
    assert row.id == 1
    assert row.device_name == "DESKTOP-ABC123"
    assert row.status == "online"
    assert row.last_seen and before <= row.last_seen <= utcnow()
    assert before <= row.created_at <= utcnow()
    assert row.user_id is None
    assert row.source_ip == "127.0.0.1"
    assert row.public_key == web.machine.public_key
    assert row.trust == "pending"


@pytest.mark.databases("sqlite")
async def test_registration_success_says_what_the_agent_needs(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval", heartbeat_interval_s=7.5)
    success = await agent(node).start()
    said = {"agent_id", "trust", "generation", "heartbeat_interval_s", "server_time", "http_token", "public_urls"}
    assert success.keys() == said
    [row] = await node.devices()
    assert row.http_token_hash == hashlib.sha256(success["http_token"].encode()).hexdigest()
    assert success["heartbeat_interval_s"] == 7.5
    assert success["generation"] == 1
    assert abs(datetime.fromisoformat(success["server_time"]) - utcnow()) < timedelta(seconds=5)


async def test_a_known_agent_updates_its_row(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    first = agent(node)
    await first.start()
    [before] = await node.devices()
    await first.close()
    await node.status(first.machine.agent_id, "offline")
    await agent(node, first.machine).start(ip_address="192.0.2.99")
    [after] = await node.devices()
    assert (after.id, after.created_at) == (before.id, before.created_at)
    assert (after.status, after.ip_address, after.session_epoch) == ("online", "192.0.2.99", before.session_epoch + 1)


@pytest.mark.databases("sqlite")
async def test_every_dashboard_hears_of_coming_and_going(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node = await serve(enrollment="approval")
    ada = await person()
    plain, batch = await watch(node, ada), await watch(node, ada, batch=True)
    web = agent(node)
    await web.start()
    for dashboard in (plain, batch):
        change = await dashboard.change(status="online")
        row = await node.device(web.machine.agent_id)
        assert change["agent_id"] == web.machine.agent_id
        assert change["device_name"] == web.machine.hostname
        assert row.last_seen and change["last_seen"] == iso(row.last_seen)
        assert (change["id"], change["cause"]) == (row.id, "registered")
    await web.close()
    for dashboard in (plain, batch):
        change = await dashboard.change(status="offline")
        row = await node.device(web.machine.agent_id)
        assert (change["agent_id"], change["device_name"]) == (web.machine.agent_id, web.machine.hostname)
        assert row.last_seen and change["last_seen"] == iso(row.last_seen)
        assert (row.status, row.node_id) == ("offline", None)


@pytest.mark.databases("sqlite")
async def test_an_abrupt_end_is_offline_with_a_cause(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node = await serve(enrollment="approval")
    dashboard = await watch(node, await person())
    web = agent(node)
    await web.start()
    online = await node.device(web.machine.agent_id)
    await web.abort()
    change = await dashboard.change(status="offline", cause="connection_closed")
    assert change["detail"] == "the connection closed without a goodbye"
    row = await node.status(web.machine.agent_id, "offline", within_s=1)
    assert row.last_seen and online.last_seen and row.last_seen > online.last_seen
    assert [(event.status, event.cause) for event in await node.status_events(row.id)] == [
        ("online", "registered"),
        ("offline", "connection_closed"),
    ]


@pytest.mark.databases("sqlite")
async def test_a_silent_peer_is_offline_after_the_ping_timeout(serve: Serve) -> None:
    node = await serve(enrollment="approval", ping_interval=0.2, ping_timeout=1.5)
    machine = Machine()
    async with RawLink.connected(node.url) as link:
        await link.emit(events.AGENT_REGISTER, machine.register(node.url, link.sid, "0" * 32))
        await link.event(events.REGISTRATION_SUCCESS)
        await link.pinged()
        await link.pong()  # its last word; the link answers nothing unless it is asked for an event
        row = await node.status(machine.agent_id, "offline")
    assert (row.status_cause, row.status_detail) == ("ping_timeout", "no pong for 1.5 s")


@pytest.mark.databases("sqlite")
async def test_an_agent_that_answers_pings_stays(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval", ping_interval=0.2, ping_timeout=2)
    web = agent(node)
    await web.start()
    for _ in range(3):
        sent = await node.device(web.machine.agent_id)
        await web.call(events.PING, {})
        await eventually(lambda sent=sent: _newer(node, web, sent.last_seen), what="last_seen")
    assert web.open
    assert [event.status for event in await node.status_events(1)] == ["online"]


async def _newer(node: RunningNode, web: AgentPeer, than: datetime | None) -> bool:
    row = await node.device(web.machine.agent_id)
    return bool(row.last_seen and than and row.last_seen > than)


async def test_a_ping_is_answered_and_reaches_the_database(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    web = agent(node)
    await web.start()
    payloads: list[Any] = [None, {}]
    for payload in payloads:
        asked = datetime.fromisoformat(iso(utcnow()))
        await web.emit(events.PING, payload)
        pong = await web.payload(events.PONG)
        assert datetime.fromisoformat(pong["server_time"]) >= asked.replace(
            microsecond=asked.microsecond // 1000 * 1000
        )
        await eventually(lambda asked=asked: _seen_since(node, web, asked), within_s=2, what="last_seen")


async def _seen_since(node: RunningNode, web: AgentPeer, asked: datetime) -> bool:
    row = await node.device(web.machine.agent_id)
    return bool(row.last_seen and row.last_seen >= asked)


@pytest.mark.databases("sqlite")
async def test_dashboards_hear_of_heartbeats(serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson) -> None:
    node = await serve(enrollment="approval")
    dashboard = await watch(node, await person(), batch=True)
    web = agent(node)
    await web.start()
    await web.call(events.PING)
    batch = await dashboard.payload(events.DEVICES_CHANGED, where=lambda batch: batch["seen"])
    assert batch["seen"][0]["ids"] == [1]
    assert abs(datetime.fromisoformat(batch["seen"][0]["at"]) - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.databases("sqlite")
async def test_a_goodbye_is_the_cause_people_read(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node = await serve(enrollment="approval")
    dashboard = await watch(node, await person())
    web = agent(node)
    await web.start()
    await web.call(events.AGENT_LEAVING, {"reason": "the machine shuts down"})
    await web.close()
    change = await dashboard.change(status="offline")
    assert (change["cause"], change["detail"]) == ("agent_leaving", "the agent stopped: the machine shuts down")
    row = await node.device(web.machine.agent_id)
    assert (row.status_cause, row.status_detail) == (change["cause"], change["detail"])


@pytest.mark.databases("sqlite")
async def test_the_server_logs_the_specifications_lines(serve: Serve, agent: MakeAgent, lines: Lines) -> None:
    node = await serve(enrollment="approval")
    web = agent(node, Machine(hostname="DESKTOP-ABC123"))
    await web.start()
    words = [
        rf"New agent connection: sid={re.escape(web.sid)}  source_ip=127\.0\.0\.1$",
        r"Agent registered: DESKTOP-ABC123  .*source_ip=127\.0\.0\.1$",
        r"Device status updated: online  .*source_ip=127\.0\.0\.1$",
        r"Broadcasting status change  devices=1 audiences=0$",
    ]
    for wanted in words:
        await eventually(lambda wanted=wanted: _logged(lines(), wanted), what=wanted)
    order = [next(i for i, line in enumerate(lines()) if re.search(rf"Z \[INFO\] {wanted}", line)) for wanted in words]
    assert order == sorted(order)
    await web.close()
    await eventually(
        lambda: _logged(lines(), r"Agent disconnected: DESKTOP-ABC123  .*source_ip=127\.0\.0\.1$"), what="a disconnect"
    )
    await eventually(lambda: _logged(lines(), r"Device status updated: offline  "), what="offline")


def _logged(lines: list[str], pattern: str) -> bool:
    return any(re.search(rf"Z \[INFO\] {pattern}", line) for line in lines)


@pytest.mark.databases("sqlite")
async def test_an_administrator_of_nothing_hears_nothing(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node = await serve(enrollment="approval")
    admin, operator = await person(), await person("bob@example.test", Role.OPERATOR)
    all_of_them, nothing = await watch(node, admin, batch=True), await watch(node, operator, batch=True)
    await agent(node).start()
    await all_of_them.change(status="online")
    assert await nothing.snapshot() == {}
    assert not [payload for name, payload in nothing.heard if name == events.DEVICES_CHANGED]


async def test_coming_and_going_is_counted(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    for _ in range(2):
        web = agent(node)
        await web.start()
        await web.close()
        await node.status(web.machine.agent_id, "offline")
    async with httpx2.AsyncClient(base_url=node.url, headers=ada.bearer) as http:
        counted = (await http.get("/metrics")).text.splitlines()
    for line in (
        'deployx_status_changes_total{cause="registered",status="online"} 2.0',
        'deployx_status_changes_total{cause="connection_closed",status="offline"} 2.0',
        'deployx_registrations_total{outcome="registered"} 2.0',
        'deployx_agent_connections{state="open"} 0.0',
    ):
        assert line in counted, line
