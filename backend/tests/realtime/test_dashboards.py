"""Dashboards: who is let in, what they are shown first, what they hear, and what they never do."""

import asyncio
import contextlib
import json
import secrets
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
import websockets

from app.accounts.auth import COOKIE
from app.accounts.permissions import Role
from app.accounts.service import AccountService
from app.clock import utcnow
from app.devices.models import Device
from deployx_protocol import events
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.node import RunningNode, Serve, eventually
from tests.support.peers import Peer, Watch
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson, Person
from tests.support.stalled import held

UI = "/ui/socket.io/"
FOREIGN = ["https://evil.example", "null", "http://127.0.0.1", "http://localhost", "https://127.0.0.1", ""]


async def fleet(node: RunningNode, owner: Person | None, count: int, **values: Any) -> None:
    """Devices straight into the database."""
    row = {
        "platform": "Linux",
        "ip_address": "192.0.2.1",
        "source_ip": "192.0.2.1",
        "status": "offline",
        "created_at": utcnow(),
        "user_id": owner.id if owner else None,
        "trust": "trusted",
        "facts": {},
        "fingerprint": {},
        "tags": {},
        "generation_forks": [],
        **values,
    }
    names = [secrets.token_hex(8) for _ in range(count)]
    async with node.db.write() as session:
        rows = [{**row, **dict.fromkeys(("agent_id", "device_name", "hostname", "machine_id"), n)} for n in names]
        await session.execute(sa.insert(Device), rows)


# ---------------------------------------------------------------- who is let in


@pytest.mark.parametrize(
    "auth", [None, {}, {"token": ""}, {"token": "dxp_" + "a" * 43}, {"token": 5}, {"token": None}, [], "text"]
)
async def test_whoever_is_not_signed_in_is_refused(auth: Any, serve: Serve) -> None:
    node = await serve()
    async with RawLink.opened(node.url, UI) as link:
        assert await link.enter(auth) == "unauthenticated"
        await link.emit(events.WATCH, {})
        assert await link.event_or_end() is None


async def test_a_session_cookie_or_a_token_lets_in(serve: Serve, person: MakePerson) -> None:
    node, ada = await serve(), await person()
    async with RawLink.connected(node.url, UI, auth={"token": ada.token}):
        pass
    async with RawLink.connected(node.url, UI, additional_headers={"cookie": f"{COOKIE}={ada.cookie}"}):
        pass
    async with RawLink.opened(node.url, UI, additional_headers={"cookie": f"{COOKIE}={ada.cookie}x"}) as link:
        assert await link.enter() == "unauthenticated"


async def test_threat_20_whoever_does_not_sign_in_is_cut_off_and_so_many_of_one_address_may_wait(
    serve: Serve, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.dashboards.CONNECT_DEADLINE_S", 2.0)
    node, ada = await serve(anonymous_max=3), await person()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(5):  # who signed in never counts
            await stack.enter_async_context(RawLink.connected(node.url, UI, auth={"token": ada.token}))
        silent = [await stack.enter_async_context(RawLink.opened(node.url, UI)) for _ in range(3)]
        with pytest.raises(websockets.InvalidStatus):
            await stack.enter_async_context(RawLink.opened(node.url, UI))
        for link in silent:
            assert await link.event_or_end() is None
        await stack.enter_async_context(RawLink.connected(node.url, UI, auth={"token": ada.token}))


@pytest.mark.parametrize("origin", FOREIGN)
async def test_threat_06_a_page_of_another_origin_is_refused(origin: str, serve: Serve, person: MakePerson) -> None:
    node, ada = await serve(), await person()
    headers = {"cookie": f"{COOKIE}={ada.cookie}", "origin": origin}
    async with RawLink.opened(node.url, UI, additional_headers=headers) as link:
        assert await link.enter({"token": ada.token}) == "forbidden_origin"
        await link.emit(events.WATCH, {})
        assert await link.event_or_end() is None


async def test_threat_06_our_own_page_and_the_listed_ones_are_let_in(serve: Serve, person: MakePerson) -> None:
    node = await serve(cors_origins=["https://ui.example.com"], public_url=["https://deployx.example.com"])
    ada = await person()
    for origin in (node.url, "https://ui.example.com", "https://deployx.example.com"):
        headers = {"cookie": f"{COOKIE}={ada.cookie}", "origin": origin}
        async with RawLink.connected(node.url, UI, additional_headers=headers):
            pass


async def test_agents_and_dashboards_do_not_reach_each_others_server(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    async with RawLink.connected(node.url, UI, auth={"token": ada.token}) as dashboard:
        await dashboard.emit(events.AGENT_REGISTER, Machine().seed())
        await dashboard.emit(events.DEVICE_STATUS_CHANGED, {"agent_id": "forged", "status": "online"})
        await dashboard.emit(events.WATCH, {})
        await dashboard.event(events.SNAPSHOT_END)
    web = agent(node)
    await web.start()
    answer = await web.call(events.WATCH, {})
    assert answer["error"]["code"] == "unknown_event"
    assert [row.agent_id for row in await node.devices()] == [web.machine.agent_id]


async def test_dashboards_have_no_polling(serve: Serve, person: MakePerson) -> None:
    node = await serve()
    async with httpx2.AsyncClient(base_url=node.url) as http:
        assert (await http.get(f"{UI}?EIO=4&transport=polling")).status_code == 400


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
    for _ in agents[::2]:
        await dashboard.change(status="offline")
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


# ---------------------------------------------------------------- how they end


@pytest.mark.parametrize("way", ["token", "cookie"])
async def test_threat_15_a_disabled_user_is_cut_within_five_seconds(
    way: str, serve: Serve, person: MakePerson, accounts: AccountService
) -> None:
    node, bob = await serve(), await person("bob@example.test", Role.OPERATOR)
    options: dict[str, Any] = (
        {"auth": {"token": bob.token}}
        if way == "token"
        else {"additional_headers": {"cookie": f"{COOKIE}={bob.cookie}"}}
    )
    async with RawLink.connected(node.url, UI, **options) as link:
        await accounts.disable(bob.email)
        async with asyncio.timeout(5):
            _, ended = await link.event(events.SESSION_ENDED)
            assert (ended["code"], ended["retryable"]) == ("signed_out", False)
            assert await link.event_or_end() is None
    async with RawLink.opened(node.url, UI) as link:
        assert await link.enter({"token": bob.token}) == "unauthenticated"


async def test_threat_15_only_the_one_who_signed_out_is_cut(serve: Serve, person: MakePerson, watch: Watch) -> None:
    node, ada = await serve(), await person()
    by_token = await watch(node, ada)
    headers = {"cookie": f"{COOKIE}={ada.cookie}"}
    async with RawLink.connected(node.url, UI, additional_headers=headers) as link:
        async with httpx2.AsyncClient(base_url=node.url) as http:
            assert (await http.post("/api/v1/auth/logout", headers=ada.browser)).status_code in (200, 204)
        async with asyncio.timeout(5):
            assert (await link.event(events.SESSION_ENDED))[1]["code"] == "signed_out"
    assert by_token.open


async def test_fault_19_a_dashboard_that_does_not_read_is_cut_off(
    serve: Serve, watch: Watch, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serve.STALLED_S", 2)
    node, ada = await serve(), await person()
    await fleet(node, ada, 4_000, facts={f"fact{n}": "x" * 200 for n in range(10)})
    steady = await watch(node, ada, batch=True)
    async with RawLink.connected(node.url, UI, auth={"token": ada.token, "batch": True}, max_queue=1) as stalled:
        await stalled.emit(events.WATCH, {})
        async with httpx2.AsyncClient(base_url=node.url, headers=ada.bearer) as http:
            await eventually(lambda: _dashboards(http, 1), within_s=15, what="the stalled one is gone")
        await eventually(lambda: held(node.settings.port) == 1, within_s=15, what="its socket is closed")
    assert steady.open
    assert len(await steady.snapshot()) == 4_000


async def test_a_queue_that_grows_without_end_is_cut_off(
    serve: Serve, watch: Watch, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.link.OUTGOING_MAX", 5)
    node, ada = await serve(), await person()
    await fleet(node, ada, 4_000, facts={f"fact{n}": "x" * 200 for n in range(10)})
    async with (
        RawLink.connected(node.url, UI, auth={"token": ada.token, "batch": True}, max_queue=1) as stalled,
        httpx2.AsyncClient(base_url=node.url, headers=ada.bearer) as http,
    ):
        for _ in range(12):
            await stalled.emit(events.WATCH, {})
        await eventually(lambda: _dashboards(http, 0), within_s=15, what="the stalled one is gone")


async def _dashboards(http: httpx2.AsyncClient, wanted: int) -> bool:
    text = (await http.get("/metrics")).text
    return f"deployx_dashboard_connections {wanted:.1f}" in text.splitlines()


async def test_many_watches_are_one_snapshot_at_a_time(serve: Serve, watch: Watch, person: MakePerson) -> None:
    node, ada = await serve(), await person()
    await fleet(node, ada, 1_200)
    dashboard = await watch(node, ada, batch=True)
    dashboard.heard.clear()
    for _ in range(31):
        await dashboard.emit(events.WATCH, {})

    def last_is_whole() -> bool:
        begun = [payload["snapshot_id"] for name, payload in dashboard.heard if name == events.SNAPSHOT_BEGIN]
        ended = [payload["snapshot_id"] for name, payload in dashboard.heard if name == events.SNAPSHOT_END]
        return bool(begun) and begun[-1] in ended

    await dashboard.call(events.WATCH, {})  # events of a connection are handled in order: the others are, too
    await eventually(last_is_whole, what="the last snapshot")
    order = [name for name, _ in dashboard.heard if name in (events.SNAPSHOT_BEGIN, events.SNAPSHOT_DEVICES)]
    assert len(order) < 31 * 4
    last = dashboard.heard[-1][1]["snapshot_id"]
    shown = [payload for name, payload in dashboard.heard if name == events.SNAPSHOT_DEVICES]
    assert sum(len(payload["devices"]) for payload in shown if payload["snapshot_id"] == last) == 1_200
    whole = [payload["snapshot_id"] for name, payload in dashboard.heard if name == events.SNAPSHOT_END]
    assert len(whole) < 31
