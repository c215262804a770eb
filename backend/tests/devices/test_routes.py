"""The routes about devices, claims and enrolment: what they answer, and to whom."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.clock import utcnow
from app.devices.models import Claim, Device, EnrollmentToken
from deployx_protocol import events
from deployx_protocol.states import DeviceStatus, Trust
from tests.support import rows
from tests.support.machines import Machine, MakeAgent
from tests.support.node import RunningNode, Serve
from tests.support.server import Browse, MakePerson


async def put(node: RunningNode, *made: Any) -> None:
    """Write rows."""
    async with node.db.write() as session:
        session.add_all(made)


async def everything(node: RunningNode) -> list[Any]:
    """All columns of all rows that belong to somebody."""
    found: list[Any] = []
    async with node.db.read() as session:
        for model in (Device, Claim, EnrollmentToken):
            found += (await session.execute(sa.select(model.__table__).order_by(model.id))).all()
    return found


async def test_threat_12_what_is_somebody_elses_does_not_exist(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    ada, bob = await person("ada@example.test", Role.OPERATOR), await person("bob@example.test", Role.OPERATOR)
    hers, pending, nobodys = rows.device(1), rows.device(2, trust=Trust.PENDING), rows.device(3)
    hers.user_id = pending.user_id = ada.id
    await put(node, hers, pending, nobodys)
    cloned = rows.claim(hers, kind="cloned")
    await put(node, rows.claim(hers), cloned, rows.status_event(hers, DeviceStatus.OFFLINE, utcnow()))
    as_ada, as_bob = browse(node, ada.bearer), browse(node, bob.bearer)
    token = (await as_ada.post("/api/v1/enrollment-tokens", json={"name": "hers"})).json()["id"]
    api_token = (await as_ada.get("/api/v1/api-tokens")).json()["items"][0]["id"]
    before = await everything(node)

    requests: list[tuple[str, str, Any]] = []
    for device_id in (hers.id, pending.id, nobodys.id, 4711):
        path = f"devices/{device_id}"
        requests += [("GET", path, None), ("PATCH", path, {"device_name": "mine"}), ("PATCH", path, {"tags": {}})]
        requests += [("PATCH", path, {"user_id": bob.id}), ("GET", f"{path}/status-events", None)]
        requests += [("POST", f"{path}/accept", None), ("POST", f"{path}/reject", None), ("DELETE", path, None)]
    for claim_id in (cloned.id, cloned.id - 1, 4711):
        requests += [("POST", f"claims/{claim_id}/{how}", None) for how in ("accept", "reject", "moved", "split")]
        requests += [("POST", f"claims/{claim_id}/accept", {"merge_history": True})]
    for token_id in (token, "no-such-token"):
        requests += [(method, f"enrollment-tokens/{token_id}", None) for method in ("GET", "DELETE")]
    requests += [("DELETE", f"api-tokens/{api_token}", None)]

    answers: dict[str, set[str]] = {}
    for method, path, body in requests:
        answer = await as_bob.request(method, f"/api/v1/{path}", json=body)
        assert answer.status_code == 404, f"{method} {path}: {answer.text}"
        answers.setdefault(path.split("/")[0], set()).add(answer.json()["detail"])
    assert {noun: len(details) for noun, details in answers.items()} == dict.fromkeys(answers, 1)
    assert await everything(node) == before

    for path in ("devices", "claims", "enrollment-tokens"):
        assert (await as_bob.get(f"/api/v1/{path}")).json()["items"] == []
    assert (await as_bob.get("/api/v1/stats")).json()["total"] == 0
    for query in ({"owner": ada.email}, {"q": "device"}, {"sort": "name", "limit": "1"}):
        page = (await as_bob.get("/api/v1/devices", params=query)).json()
        assert page == {"items": [], "next_cursor": None}
    assert len((await as_ada.get("/api/v1/devices")).json()["items"]) == 2


async def test_threat_12_a_cursor_shows_nobody_elses_devices(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person("ada@example.test", Role.VIEWER), await person("bob@example.test", Role.VIEWER)
    await put(node, *(rows.device(n, user_id=ada.id if n % 2 else bob.id) for n in range(10)))
    cursor = (await browse(node, ada.bearer).get("/api/v1/devices", params={"limit": 1})).json()["next_cursor"]
    page = (await browse(node, bob.bearer).get("/api/v1/devices", params={"cursor": cursor})).json()
    assert {device["user_id"] for device in page["items"]} == {bob.id}


@pytest.mark.databases("sqlite")
async def test_an_administrator_sees_everyones(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person("ada@example.test"), await person("bob@example.test", Role.OPERATOR)
    await put(node, rows.device(1, user_id=bob.id), rows.device(2), rows.device(3, user_id=ada.id))
    items = (await browse(node, ada.bearer).get("/api/v1/devices")).json()["items"]
    assert [device["owner"] for device in items] == [bob.email, None, ada.email]


async def test_a_device_is_renamed_and_tagged(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    await put(node, rows.device(1, user_id=ada.id))
    client = browse(node, ada.bearer)
    [device] = (await client.get("/api/v1/devices")).json()["items"]
    path = f"/api/v1/devices/{device['id']}"
    renamed = await client.patch(path, json={"device_name": "  Büro 1 – 東京  "})
    assert renamed.status_code == 200
    assert renamed.json() == {**device, "device_name": "Büro 1 – 東京", "rev": device["rev"] + 1}
    tagged = await client.patch(path, json={"tags": {"role": "web", "legacy": ""}})
    assert tagged.json() == {**renamed.json(), "tags": {"role": "web", "legacy": ""}, "rev": device["rev"] + 2}
    assert (await client.get(path)).json() == tagged.json()
    assert tagged.headers["etag"] == f'"{device["rev"] + 2}"'


BAD_CHANGES: list[Any] = [
    {"device_name": ""},
    {"device_name": "   "},
    {"device_name": "a\x00b"},
    {"device_name": "a\nb"},
    {"device_name": "evil\u202egnp.exe"},
    {"device_name": "x" * 1000},
    {"device_name": 7},
    {"tags": {f"tag-{n}": "x" for n in range(33)}},
    {"tags": {"x" * 65: "x"}},
    {"tags": {"x": "x" * 129}},
    {"tags": {"": "x"}},
    {"tags": {"a\x00": "x"}},
    {"tags": {"x": "\x1b[31m"}},
    {"tags": {"x": 1}},
    {"tags": ["x"]},
    {"user_id": 0},
    {"user_id": 2**31},
    {"user_id": 10**400},
    {"user_id": 4711},
    {"trust": "trusted"},
    {"status": "online"},
    {"id": 1},
    [],
    None,
    "text",
]


@pytest.mark.databases("sqlite")
async def test_a_change_is_refused_whole(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    await put(node, rows.device(1, user_id=ada.id, tags={"role": "web"}))
    client = browse(node, ada.bearer)
    before = await everything(node)
    for body in BAD_CHANGES:
        mixed = {"device_name": "good", **body} if isinstance(body, dict) else body
        for sent in (body, mixed):
            answer = await client.patch(f"/api/v1/devices/{before[0].id}", json=sent)
            assert answer.status_code == 422, f"{sent}: {answer.text}"
            assert answer.headers["content-type"] == "application/problem+json"
    assert await everything(node) == before


async def test_a_change_on_top_of_another_is_refused(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    await put(node, rows.device(1, user_id=ada.id))
    client = browse(node, ada.bearer)
    loaded = await client.get("/api/v1/devices/1")
    first = await client.patch(
        "/api/v1/devices/1", json={"device_name": "a"}, headers={"if-match": loaded.headers["etag"]}
    )
    assert first.status_code == 200
    second = await client.patch(
        "/api/v1/devices/1", json={"device_name": "b"}, headers={"if-match": loaded.headers["etag"]}
    )
    assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
    assert (await client.get("/api/v1/devices/1")).json()["device_name"] == "a"
    anything = await client.patch("/api/v1/devices/1", json={"device_name": "c"}, headers={"if-match": "*"})
    assert anything.status_code == 200
    for nonsense in ("", "x", '"1", "2"', '"9999999999999999999999999"'):
        answer = await client.patch("/api/v1/devices/1", json={"device_name": "d"}, headers={"if-match": nonsense})
        assert answer.status_code in (412, 422), nonsense
    current = {"if-match": anything.headers["etag"]}
    both = await asyncio.gather(
        *(client.patch("/api/v1/devices/1", json={"device_name": name}, headers=current) for name in ("e", "f"))
    )
    assert sorted(answer.status_code for answer in both) == [200, 412]


@pytest.mark.databases("sqlite")
async def test_only_an_administrator_hands_a_device_over(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person("ada@example.test"), await person("bob@example.test", Role.OPERATOR)
    await put(node, rows.device(1, user_id=bob.id))
    as_ada, as_bob = browse(node, ada.bearer), browse(node, bob.bearer)
    assert (await as_bob.patch("/api/v1/devices/1", json={"user_id": ada.id})).status_code == 403
    assert (await as_ada.patch("/api/v1/devices/1", json={"user_id": ada.id})).json()["owner"] == ada.email
    assert (await as_bob.get("/api/v1/devices/1")).status_code == 404


async def test_a_deleted_device_is_cut_off_and_stays_away(
    serve: Serve, browse: Browse, person: MakePerson, agent: MakeAgent
) -> None:
    node = await serve(enrollment="token")
    client = browse(node, (await person("bob@example.test", Role.OPERATOR)).bearer)
    token = (await client.post("/api/v1/enrollment-tokens", json={"name": "one"})).json()["token"]
    web = agent(node, Machine(enrollment_token=token))
    await web.start()
    [device] = (await client.get("/api/v1/devices")).json()["items"]
    assert device["status"] == "online"
    assert (await client.delete(f"/api/v1/devices/{device['id']}")).status_code == 204
    ended = await web.payload(events.SESSION_ENDED)
    assert (ended["code"], ended["retryable"]) == ("removed", False)
    await web.ended()
    again = await agent(node, web.machine).refused(enrollment_token="")
    assert (again["code"], again["retryable"]) == ("invalid_credentials", False)
    spent = await agent(node, web.machine).refused()
    assert spent["code"] == "invalid_credentials"
    assert await node.devices() == []
    assert (await client.delete(f"/api/v1/devices/{device['id']}")).status_code == 404


async def test_a_pending_device_is_accepted_or_rejected_once(
    serve: Serve, browse: Browse, person: MakePerson, agent: MakeAgent
) -> None:
    node = await serve(enrollment="approval")
    ada = await person()
    client = browse(node, ada.bearer)
    good, bad = agent(node), agent(node)
    await good.start()
    await bad.start()
    first, second = await node.devices()
    accepted = await client.post(f"/api/v1/devices/{first.id}/accept")
    assert (accepted.status_code, accepted.json()["trust"], accepted.json()["owner"]) == (200, "trusted", ada.email)
    await good.payload(events.REGISTRATION_REQUIRED)
    assert (await client.post(f"/api/v1/devices/{second.id}/reject")).status_code == 204
    assert (await bad.payload(events.SESSION_ENDED))["retryable"] is False
    assert (await agent(node, bad.machine).refused())["code"] == "rejected"
    for path in (f"{first.id}/accept", f"{first.id}/reject"):
        answer = await client.post(f"/api/v1/devices/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
    assert [device.id for device in await node.devices()] == [first.id]


async def test_status_history_is_paged_newest_first(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    device, other = rows.device(1, user_id=ada.id), rows.device(2, user_id=ada.id)
    await put(node, device, other)
    start = utcnow() - timedelta(hours=1)
    for n in range(25):
        status = DeviceStatus.ONLINE if n % 2 else DeviceStatus.OFFLINE
        await put(node, rows.status_event(device, status, start + timedelta(minutes=n), detail=str(n)))
    await put(node, rows.status_event(other, DeviceStatus.ONLINE, start))
    client = browse(node, ada.bearer)
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        query = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(f"/api/v1/devices/{device.id}/status-events", params=query)).json()
        seen += [event["detail"] for event in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [str(n) for n in reversed(range(25))]
    event = page["items"][-1]
    assert (event["status"], event["cause"], event["at"][-1]) == ("offline", "connection_closed", "Z")
    for bad in ({"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"cursor": "-1"}, {"cursor": "9" * 40}):
        answer = await client.get(f"/api/v1/devices/{device.id}/status-events", params=bad)
        assert answer.status_code == 422, bad


@pytest.mark.databases("sqlite")
async def test_an_id_that_is_none_is_refused(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    for device_id in ("0", "-1", "2147483648", "9" * 400, "x", "1.5", "%00", "1%2F2", "null", "%ff", "%ed%a0%80"):
        assert (await client.get(f"/api/v1/devices/{device_id}")).status_code in (404, 422), device_id
        for noun in ("enrollment-tokens", "api-tokens"):
            answer = await client.delete(f"/api/v1/{noun}/{device_id}")
            assert answer.status_code in (404, 405, 422), f"{noun} {device_id} {answer.text}"
