"""Dashboards: what they are shown first, what they hear, and what they never hear."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.devices.models import Device
from deployx_protocol import events
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.many_devices import fleet
from tests.support.node import RunningNode, Serve, eventually
from tests.support.peers import Peer, Watch
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson, Person

UI = "/ui/socket.io/"


# ---------------------------------------------------------------- what they are shown


async def test_the_snapshot_comes_in_pieces_after_the_dashboard_joined(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    await fleet(node, ada, 1_203)
    dashboard = await watch(node, ada, batch=True)
    pieces = [len(payload["devices"]) for name, payload in dashboard.heard if name == events.SNAPSHOT_DEVICES]
    assert pieces == [500, 500, 203]
    names = [name for name, _ in dashboard.heard]
    assert names[0] == events.SNAPSHOT_BEGIN
    assert names[-1] == events.SNAPSHOT_END
    assert len(await dashboard.snapshot()) == 1_203
    web = agent(node)
    await web.start()
    await dashboard.change(status="online")


async def test_an_empty_snapshot_has_no_piece(serve: Serve, watch: Watch, person: MakePerson) -> None:
    node = await serve()
    dashboard = await watch(node, await person(), batch=True)
    assert [name for name, _ in dashboard.heard] == [events.SNAPSHOT_BEGIN, events.SNAPSHOT_END]


async def test_snapshot_and_changes_make_a_fresh_snapshot(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    await fleet(node, ada, 40)
    agents = [agent(node) for _ in range(30)]
    dashboard = await watch(node, ada)
    ours = Peer(node.url, "ui/socket.io")
    await ours.connect(auth={"token": ada.token, "batch": True})
    coming = asyncio.gather(*(peer.start() for peer in agents))
    await ours.emit(events.WATCH, {})
    await coming
    for peer in agents[::2]:
        await peer.close()
    left = {peer.machine.agent_id for peer in agents[::2]}
    while left:  # of the others it is told as well, once servers have found each other
        left.discard((await dashboard.change(status="offline"))["agent_id"])
    fresh = await (await watch(node, ada, batch=True)).snapshot()
    await eventually(lambda: _replayed(ours.heard) == _essence(fresh), what="the replay")
    await ours.close()


def _replayed(heard: list[tuple[str, Any]]) -> dict[int, tuple[Any, ...]]:
    """What a dashboard shows after all that it heard, by the rules of the protocol's page."""
    known: dict[int, dict[str, Any]] = {}

    def merge(view: dict[str, Any]) -> None:
        if view["rev"] >= known.get(view["id"], view)["rev"]:
            known[view["id"]] = known.get(view["id"], {}) | view

    for name, payload in heard:
        if name == events.SNAPSHOT_DEVICES:
            for view in payload["devices"]:
                merge(view)
        if name == events.DEVICES_CHANGED:
            for view in payload["devices"]:
                merge(view)
            for change in payload["changes"]:
                merge({key: change[key] for key in ("id", "rev", "status", "device_name", "agent_id", "last_seen")})
    return _essence(known)


def _essence(devices: dict[int, dict[str, Any]]) -> dict[int, tuple[Any, ...]]:
    return {i: (view["agent_id"], view["device_name"], view["status"], view["rev"]) for i, view in devices.items()}


@pytest.mark.databases("sqlite")
async def test_batches_and_single_events_go_to_whom_they_are_meant_for(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    plain, batch = await watch(node, ada), await watch(node, ada, batch=True)
    for _ in range(3):
        await agent(node).start()
        await plain.change(status="online")
        await batch.change(status="online")
    assert {name for name, _ in plain.heard} == {events.DEVICE_STATUS_CHANGED}
    assert events.DEVICE_STATUS_CHANGED not in {name for name, _ in batch.heard}
    assert {"agent_id", "device_name", "status", "last_seen"} <= plain.heard[0][1].keys()


# ---------------------------------------------------------------- what they never hear


async def test_threat_12_two_users_hear_nothing_of_each_others_devices(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node = await serve(enrollment="approval")
    admin = await person()
    people = [await person(f"{name}@example.test", Role.OPERATOR) for name in ("bob", "eve")]
    agents: dict[int, list[AgentPeer]] = {}
    for owner in people:
        agents[owner.id] = [agent(node, Machine(hostname=f"{owner.email.split('@')[0]}-{n}")) for n in range(3)]
        for peer in agents[owner.id]:
            await peer.start()
            async with node.db.write() as session:
                mine = sa.update(Device).where(Device.agent_id == peer.machine.agent_id)
                await session.execute(mine.values(user_id=owner.id, trust="trusted"))
    captures = {}
    listeners = []
    for owner in people:
        for batch in (True, False):
            ready = asyncio.Event()
            captures[owner.id, batch] = capture = list[Any]()
            listeners.append(asyncio.create_task(_listen(node, owner, batch, capture, ready)))
            await ready.wait()
    async with httpx2.AsyncClient(base_url=node.url) as http:
        for owner in people:
            first, second, third = agents[owner.id]
            row = await node.device(first.machine.agent_id)
            claimant = agent(node, Machine(hostname=f"{first.machine.hostname}-claim", machine_id=row.machine_id))
            await claimant.connect()
            await claimant.register()
            await first.call(events.PING)
            await second.close()
            await node.status(second.machine.agent_id, "offline")
            await agent(node, second.machine).start()
            renamed = await http.patch(
                f"/api/v1/devices/{row.id}",
                json={"device_name": f"{first.machine.hostname}-renamed"},
                headers=admin.bearer,
            )
            assert renamed.status_code == 200, renamed.text
            gone = (await node.device(third.machine.agent_id)).id
            assert (await http.delete(f"/api/v1/devices/{gone}", headers=admin.bearer)).status_code == 204
            wanted = f'"removed":[{{"id":{gone},'
            await eventually(lambda owner=owner, wanted=wanted: _heard(captures[owner.id, True], wanted), what=wanted)
            wanted = f'"{second.machine.agent_id}"'
            await eventually(lambda owner=owner, wanted=wanted: _heard(captures[owner.id, False], wanted), what=wanted)
            wanted = f"{first.machine.hostname}-claim"
            await eventually(lambda owner=owner, wanted=wanted: _heard(captures[owner.id, True], wanted), what=wanted)
            await eventually(lambda owner=owner: _heard(captures[owner.id, True], '"seen":[{"at"'), what="heartbeats")
    rows = await node.devices()
    for owner, other in (people, people[::-1]):
        foreign = [row for row in rows if row.user_id == other.id]
        secrets_of_other = [other.email.split("@")[0] + "-", *(row.machine_id for row in foreign)]
        secrets_of_other += [row.agent_id for row in foreign]
        foreign_ids = {row.id for row in foreign}
        for batch in (True, False):
            everything = captures[owner.id, batch]
            assert not [packet for packet in everything if any(secret in packet for secret in secrets_of_other)]
            for packet in (packet for packet in everything if packet.startswith("42")):
                assert not foreign_ids & _ids(json.loads(packet[2:]))
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)


async def _listen(node: RunningNode, who: Person, batch: bool, capture: list[Any], ready: asyncio.Event) -> None:
    async with RawLink.connected(node.url, UI, auth={"token": who.token, "batch": batch}) as link:
        link.received = capture
        if batch:
            await link.emit(events.WATCH, {})
            await link.event(events.SNAPSHOT_END)
        ready.set()
        while await link.event_or_end():
            pass


def _heard(capture: list[Any], text: str) -> bool:
    return any(text in packet for packet in capture)


def _ids(value: Any) -> set[int]:
    """Every device id anywhere in a packet."""
    if isinstance(value, list):
        return set().union(*map(_ids, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    own = {value[key] for key in ("id", "device_id") if isinstance(value.get(key), int) and "kind" not in value}
    seen = set(value["ids"]) if "ids" in value else set()
    return own | seen | set().union(*map(_ids, value.values()))


async def test_a_device_that_changes_hands_leaves_one_dashboard_and_enters_another(
    serve: Serve, watch: Watch, person: MakePerson
) -> None:
    node, admin = await serve(), await person()
    bob = await person("bob@example.test", Role.OPERATOR)
    eve = await person("eve@example.test", Role.OPERATOR)
    await fleet(node, bob, 1)
    his, hers = await watch(node, bob, batch=True), await watch(node, eve, batch=True)
    async with httpx2.AsyncClient(base_url=node.url, headers=admin.bearer) as http:
        answer = await http.patch("/api/v1/devices/1", json={"user_id": eve.id})
        assert answer.status_code == 200, answer.text
    left = await his.payload(events.DEVICES_CHANGED)
    assert ([gone["id"] for gone in left["removed"]], left["devices"], left["changes"]) == ([1], [], [])
    entered = await hers.payload(events.DEVICES_CHANGED)
    assert [view["id"] for view in entered["devices"]] == [1]
    assert entered["devices"][0]["rev"] > left["removed"][0]["rev"]
