"""What the sockets say of shared devices: all of it while they are, nothing afterwards, never what is not shared."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from app.devices.models import Device
from deployx_protocol import events
from tests.sharing.conftest import House
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.node import eventually
from tests.support.peers import DashboardPeer, Watch
from tests.support.server import Person

# One database: what is asked of it, `test_members` and `test_attacks` ask on both.
pytestmark = pytest.mark.databases("sqlite")


async def machine_of(house: House, agent: MakeAgent, owner: Person, name: str) -> tuple[int, AgentPeer]:
    """A machine that belongs to somebody and is connected."""
    made = await house.as_(owner).post("/api/v1/enrollment-tokens", json={"name": name})
    peer = agent(house.node, Machine(hostname=name, enrollment_token=made.json()["token"]))
    await peer.start()
    return (await house.node.device(peer.machine.agent_id)).id, peer


def rows_of(dashboard: DashboardPeer) -> dict[int, dict[str, Any]]:
    """What a dashboard shows after all that it heard, by the rules of the protocol's page."""
    known: dict[int, dict[str, Any]] = {}
    arriving: dict[int, dict[str, Any]] = {}
    for name, payload in dashboard.heard:
        if name == events.SNAPSHOT_BEGIN:
            arriving = {}
        elif name == events.SNAPSHOT_DEVICES:
            arriving |= {view["id"]: view for view in payload["devices"]}
        elif name == events.SNAPSHOT_END:
            known = arriving
        elif name == events.DEVICES_CHANGED:
            known |= {view["id"]: view for view in payload["devices"]}
            for change in payload["changes"]:
                if change["id"] in known:
                    known[change["id"]] |= {"status": change["status"]}
            for gone in payload["removed"]:
                known.pop(gone["id"], None)
    return known


async def test_threat_12_a_dashboard_shows_what_is_shared_and_loses_it_at_once(
    house: House, agent: MakeAgent, watch: Watch
) -> None:
    shared, web = await machine_of(house, agent, house.ada, "shared")
    hidden, dark = await machine_of(house, agent, house.ada, "hidden")
    group = await house.group(house.ada, "picked", device_ids=[shared])
    tagged = await house.group(house.ada, "tagged", selector="open")
    ours, plain = await watch(house.node, house.eve, batch=True), await watch(house.node, house.eve)
    assert rows_of(ours) == {}

    await house.share(house.ada, group, house.eve)
    await eventually(lambda: set(rows_of(ours)) == {shared}, within_s=5, what="the shared row")
    await web.close()
    await plain.change(status="offline", id=shared)
    await eventually(lambda: rows_of(ours)[shared]["status"] == "offline", what="its status")
    await dark.close()
    await house.node.status(dark.machine.agent_id, "offline")

    # by a tag it comes and goes, one row at a time
    await house.share(house.ada, tagged, house.eve)
    ada = house.as_(house.ada)
    await ada.patch(f"/api/v1/devices/{hidden}", json={"tags": {"open": ""}})
    await eventually(lambda: set(rows_of(ours)) == {shared, hidden}, within_s=5, what="the tagged row")
    await ada.patch(f"/api/v1/devices/{hidden}", json={"tags": {}})
    await eventually(lambda: set(rows_of(ours)) == {shared}, within_s=5, what="the row without its tag")

    await house.unshare(house.ada, group, house.eve)
    await eventually(lambda: rows_of(ours) == {}, within_s=5, what="the end of the share")
    heard = len(ours.heard), len(plain.heard)
    again = agent(house.node, web.machine)
    await again.start()
    await ada.patch(f"/api/v1/devices/{shared}", json={"device_name": "renamed"})
    await ada.patch(f"/api/v1/devices/{hidden}", json={"tags": {"open": ""}})
    await eventually(lambda: hidden in rows_of(ours), within_s=5, what="the next change")  # all before it was told
    assert shared not in rows_of(ours)
    said = json.dumps([*ours.heard[heard[0] :], *plain.heard[heard[1] :]])
    assert "renamed" not in said
    assert web.machine.hostname not in said
    assert (await ada.delete(f"/api/v1/devices/{hidden}")).status_code == 204
    await eventually(lambda: rows_of(ours) == {}, within_s=5, what="the deletion")


async def test_threat_12_two_members_hear_nothing_of_what_is_not_shared(
    house: House, agent: MakeAgent, watch: Watch
) -> None:
    """Eve is shared one of Ada's devices, Vic another: every event of each is captured."""
    first, one = await machine_of(house, agent, house.ada, "for-eve")
    second, two = await machine_of(house, agent, house.ada, "for-vic")
    _, three = await machine_of(house, agent, house.ada, "for-nobody")
    await house.share(house.ada, await house.group(house.ada, "e", device_ids=[first]), house.eve, "operator")
    await house.share(house.ada, await house.group(house.ada, "v", selector=f"id={second}"), house.vic)
    captures = {
        person.email: [await watch(house.node, person, batch=batch) for batch in (True, False)]
        for person in (house.eve, house.vic)
    }
    ada = house.as_(house.ada)
    for device_id, peer in ((first, one), (second, two)):
        await ada.patch(f"/api/v1/devices/{device_id}", json={"device_name": f"{peer.machine.hostname}-renamed"})
        await peer.call(events.PING)
    for peer in (three, one, two):
        await peer.close()
        await house.node.status(peer.machine.agent_id, "offline")
    for email, device_id in ((house.eve.email, first), (house.vic.email, second)):
        for dashboard in captures[email]:
            await dashboard.change(id=device_id, status="offline")
    for email, foreign in ((house.eve.email, ("for-vic", "for-nobody")), (house.vic.email, ("for-eve", "for-nobody"))):
        said = json.dumps([dashboard.heard for dashboard in captures[email]])
        assert not any(name in said for name in foreign), email
        assert "the-secret-of-bob" not in said


async def test_threat_12_who_watches_a_run_hears_of_the_devices_they_still_see(
    house: House, agent: MakeAgent, watch: Watch
) -> None:
    first, _ = await machine_of(house, agent, house.ada, "kept")
    second, _ = await machine_of(house, agent, house.ada, "taken")
    kept = await house.group(house.ada, "kept", device_ids=[first])
    taken = await house.group(house.ada, "taken", device_ids=[second])
    for group in (kept, taken):
        await house.share(house.ada, group, house.eve, "operator")
    eve = house.as_(house.eve)
    body = {"command": ["true"], "targets": {"device_ids": [first, second]}}
    run = (await eve.post("/api/v1/runs", json=body)).json()
    dashboards = [await watch(house.node, person, batch=True) for person in (house.eve, house.root)]
    for dashboard in dashboards:
        assert (await dashboard.call(events.WATCH_RUN, {"run_id": run["id"]}))["ok"]
    await house.unshare(house.ada, taken, house.eve)
    assert (await house.as_(house.root).post(f"/api/v1/runs/{run['id']}/cancel")).status_code == 202

    def told(dashboard: DashboardPeer) -> set[int]:
        messages = [payload for name, payload in dashboard.heard if name == events.TASKS_CHANGED]
        return {task["device_id"] for message in messages for task in message["tasks"]}

    await eventually(lambda: told(dashboards[1]) == {first, second}, what="the administrator's tasks")
    await eventually(lambda: told(dashboards[0]) == {first}, what="the member's tasks")
    async with house.node.db.read() as session:
        assert await session.scalar(sa.select(Device.user_id).where(Device.id == second)) == house.ada.id
