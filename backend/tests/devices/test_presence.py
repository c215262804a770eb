"""Presence across a server's end, clean or not: what the rows say, what people are shown, and when."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.clock import utcnow
from app.db import Database
from app.devices.models import Device, Node
from app.settings import Settings
from deployx_protocol import events
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.node import RunningNode, Serve, eventually, serving
from tests.support.peers import DashboardPeer, Peer, Watch
from tests.support.process import served
from tests.support.server import MakePerson


def node_view(db: Database, settings: Settings) -> RunningNode:
    """A way to read what the server wrote, without a server."""
    return RunningNode("", settings, None, db)


# ---------------------------------------------------------------- a clean stop


async def test_a_clean_stop_marks_every_device_offline_and_says_goodbye(
    settings: Settings, db: Database, person: MakePerson
) -> None:
    ada = await person()
    approving = settings.model_copy(update={"enrollment": "approval"})
    async with serving(approving) as node:
        agents = [AgentPeer(node.url) for _ in range(5)]
        for each in agents:
            await each.start()
        dashboard = await DashboardPeer(node.url, ada.token, batch=True).enter()
    everyone: list[Peer] = [*agents, dashboard]
    for peer in everyone:
        ended = await peer.payload(events.SESSION_ENDED)
        assert (ended["code"], ended["retryable"]) == ("server_shutdown", True)
        await peer.ended()
        await peer.close()
    rows = await node_view(db, settings).devices()
    assert [(row.status, row.status_cause, row.status_detail, row.node_id) for row in rows] == [
        ("offline", "server_shutdown", "the server stopped", None)
    ] * 5
    assert all(row.last_seen == row.status_since for row in rows)
    assert await node_view(db, settings).nodes() == []
    change = await dashboard.change(status="offline", cause="server_shutdown")
    assert change["id"]


async def test_a_stop_amid_registrations_leaves_nobody_online(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.presence.BATCH_MAX", 2)  # many commits, so that the stop falls between two
    approving = settings.model_copy(update={"enrollment": "approval"})
    for attempt in range(5):
        chance = random.Random(attempt)
        async with serving(approving) as node:
            crowd = [AgentPeer(node.url) for _ in range(30)]
            await asyncio.gather(*(peer.connect() for peer in crowd))
            for peer in crowd:
                await peer.emit(events.AGENT_REGISTER, peer.machine.register(peer.url, peer.sid, peer.boot_id))
            first = crowd[chance.randrange(30)]
            await first.answer()
        rows = await node_view(db, settings).devices()
        assert rows
        assert {(row.status, row.status_cause) for row in rows} == {("offline", "server_shutdown")}
        for peer in crowd:
            await peer.close()


@pytest.mark.databases("sqlite")
async def test_after_a_clean_stop_the_next_start_needs_no_grace(
    settings: Settings, serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    approving = settings.model_copy(update={"enrollment": "approval"})
    async with serving(approving) as node:
        gone = AgentPeer(node.url)
        await gone.start()
    await gone.close()
    node = await serve(enrollment="approval")
    snapshot = await (await watch(node, await person(), batch=True)).snapshot()
    assert [view["status"] for view in snapshot.values()] == ["offline"]
    await agent(node, gone.machine).start()
    assert [event.cause for event in await node.status_events(1)] == ["registered", "server_shutdown", "registered"]


# ---------------------------------------------------------------- a crash


async def test_fault_21_after_a_crash_devices_are_unknown_until_they_return_or_the_grace_is_over(
    settings: Settings, db: Database, tmp_path: Path, person: MakePerson, peers: list[Peer]
) -> None:
    ada = await person()
    options = {
        "enrollment": "approval",
        "public_url": "http://127.0.0.1:1",
        "presence_grace": "4",
        "node_lease": "1",
    }
    database = node_view(db, settings)
    machines = [Machine() for _ in range(3)]
    async with served(tmp_path, settings.database_url, **options) as server:
        for machine in machines:
            peer = AgentPeer(server.url, machine)
            peers.append(peer)
            await peer.start(origin="http://127.0.0.1:1")
        await server.kill()
    before = await database.devices()
    assert {row.status for row in before} == {"online"}
    async with served(tmp_path, settings.database_url, **options) as server:
        dashboard = DashboardPeer(server.url, ada.token, batch=True)
        peers.append(dashboard)
        await dashboard.enter()
        async with httpx2.AsyncClient(base_url=server.url, headers=ada.bearer) as http:
            await eventually(lambda: _shown(http, ["unknown"] * 3), within_s=20, what="all of them unknown")
            assert {view["status"] for view in (await dashboard.snapshot()).values()} == {"unknown"}
            returned = AgentPeer(server.url, machines[1])
            peers.append(returned)
            await returned.start(origin="http://127.0.0.1:1")
            await eventually(lambda: _shown(http, ["unknown", "online", "unknown"]), what="one of them back")
            assert [row.status for row in await database.devices()] == ["online"] * 3
            await eventually(lambda: _shown(http, ["offline", "online", "offline"]), within_s=20, what="the grace")
        change = await dashboard.change(status="offline", cause="server_lost")
        assert change["detail"] == "the server was lost and the agent has not come back"
        rows = await database.devices()
        assert [row.status for row in rows] == ["offline", "online", "offline"]
        causes = [[event.cause for event in await database.status_events(row.id)] for row in rows]
        assert causes == [["registered", "server_lost"], ["registered"], ["registered", "server_lost"]]
        assert (await returned.call(events.PING))["ok"]
        assert await server.stop() == 0
    assert [row.status_cause for row in await database.devices()] == ["server_lost", "server_shutdown", "server_lost"]


async def _shown(http: httpx2.AsyncClient, wanted: list[str]) -> bool:
    answer = await http.get("/api/v1/devices", params={"sort": "created_at"})
    by_id = sorted(answer.json()["items"], key=lambda view: view["id"])
    return [view["status"] for view in by_id] == wanted


async def test_a_dashboard_hears_that_a_device_became_unknown(
    serve: Serve, watch: Watch, agent: MakeAgent, person: MakePerson, settings: Settings
) -> None:
    """A row of another node whose lease runs out while this one is being watched."""
    node = await serve(enrollment="approval")
    await agent(node).start()
    dashboard = await watch(node, await person(), batch=True)
    await _give_to_a_node_that_died(node)
    batch = await dashboard.payload(
        events.DEVICES_CHANGED, where=lambda batch: any(view["status"] == "unknown" for view in batch["devices"])
    )
    assert [view["id"] for view in batch["devices"]] == [1]


async def _give_to_a_node_that_died(node: RunningNode) -> None:
    past = utcnow() - timedelta(minutes=1)
    async with node.db.write() as session:
        session.add(Node(id="other", started_at=past, lease_expires_at=past))
        await session.execute(sa.update(Device).values(node_id="other", session_epoch=Device.session_epoch + 1))


# ---------------------------------------------------------------- a clock that jumps


async def test_fault_10_presence_does_not_depend_on_the_agents_clock(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval", ping_interval=0.2, ping_timeout=5)
    web = agent(node)
    await web.start()
    payload: dict[str, Any] = {"sent_at": "1970-01-01T00:00:00Z", "server_time": "2100-01-01T00:00:00Z"}
    for _ in range(3):
        assert (await web.call(events.PING, payload))["ok"]
    row = await node.device(web.machine.agent_id)
    assert row.status == "online"
    assert row.last_seen and row.created_at <= row.last_seen
