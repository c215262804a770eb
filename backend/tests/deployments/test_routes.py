"""Deployments over the API: what is refused and why, who sees and may do what, and what dashboards hear."""

import asyncio
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.audit.models import AuditEntry
from app.devices.models import Device
from deployx_protocol import events
from deployx_protocol.messages import TAKES_RELEASES, WATCHES_ONLY
from tests.support.node import RunningNode, Serve, eventually
from tests.support.peers import Watch
from tests.support.rollouts import deployment_row, release_row
from tests.support.rows import device
from tests.support.server import Browse, MakePerson, Person

DEPLOYMENTS = "/api/v1/deployments"
Client = httpx2.AsyncClient
ABOVE = 3


@pytest.fixture
async def node(serve: Serve) -> RunningNode:
    """A server where more than three devices need a second person."""
    return await serve(approve_above=ABOVE)


@pytest.fixture
async def ada(person: MakePerson, node: RunningNode) -> Person:
    made = await person("ada@example.test", Role.OPERATOR)
    async with node.db.write() as session:
        session.add(release_row())
    return made


@pytest.fixture
def client(node: RunningNode, browse: Browse, ada: Person) -> Client:
    return browse(node, ada.bearer)


async def devices(node: RunningNode, owner: Person, count: int = 2, start: int = 1, **values: Any) -> list[int]:
    """So many devices that are away, of this owner; their ids."""
    fields = {"platform": "linux", "facts": dict(TAKES_RELEASES), "user_id": owner.id, **values}
    made = [device(start + number, **fields) for number in range(count)]
    async with node.db.write() as session:
        session.add_all(made)
        await session.flush()
        return [one.id for one in made]


def asked(ids: list[int], **fields: Any) -> dict[str, Any]:
    """A request for these devices."""
    return {"release": "web@1.0", "targets": {"device_ids": ids}, **fields}


async def created(client: Client, ids: list[int], **fields: Any) -> dict[str, Any]:
    """A deployment to these devices, as it was answered."""
    answer = await client.post(DEPLOYMENTS, json=asked(ids, **fields))
    assert answer.status_code == 202, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def act(client: Client, id: str, action: str, **body: Any) -> httpx2.Response:
    """What is answered to an action."""
    return await client.post(f"{DEPLOYMENTS}/{id}/{action}", json=body or None)


@pytest.mark.databases("sqlite")
async def test_what_cannot_be_used_is_refused_with_a_code_and_a_sentence(
    node: RunningNode, ada: Person, client: Client
) -> None:
    ids = await devices(node, ada, 1)
    wrong: list[tuple[dict[str, Any], str]] = [
        (asked(ids, strategy={"waves": ["1", "50%"]}), "waves_incomplete"),
        (asked(ids, strategy={"waves": ["100%", "100%"]}), "invalid_waves"),
        (asked(ids, strategy={"waves": ["50%", "10%", "100%"]}), "invalid_waves"),
        (asked(ids, strategy={"waves": ["some"]}), "invalid_waves"),
        (asked(ids, strategy={"waves": ["101%"]}), "invalid_waves"),
        (asked(ids, strategy={"waves": ["0", "100%"]}), "invalid_waves"),
        (asked(ids, strategy={"failure_threshold": "-1"}), "invalid_threshold"),
        (asked(ids, strategy={"window": {"days": [], "begin": "01:00", "end": "02:00"}}), "window_never_opens"),
        (asked(ids, strategy={"window": {"begin": "01:00", "end": "01:00"}}), "window_never_opens"),
        (asked(ids, strategy={"window": {"begin": "25:00", "end": "01:00"}}), "invalid_window"),
        (asked(ids, strategy={"window": {"begin": "01:00", "end": "02:00", "zone": "Mars/Base"}}), "invalid_window"),
        (asked(ids, strategy={"order": "tag"}), "order_without_tag"),
        (asked(ids, strategy={"max_parallel": 0}), "invalid_input"),
        (asked(ids, strategy={"speed": 1}), "invalid_input"),
        (asked(ids, following=True), "following_without_selector"),
        (asked(ids) | {"release": "web"}, "invalid_release"),
        (asked(ids) | {"release": "web@9.9"}, "release_not_found"),
        (asked([]), "no_device_matched"),
        (asked(ids) | {"targets": {"selector": "platform=("}}, "invalid_selector"),
        (asked(ids) | {"targets": {}}, "ambiguous_targets"),
    ]
    found = []
    for body, code in wrong:
        answer = await client.post(DEPLOYMENTS, json=body)
        problem = answer.json()
        assert answer.status_code in (404, 422) and problem["detail"].endswith("."), answer.text
        found.append((problem["code"], code))
    assert [one for one in found if one[0] != one[1]] == []
    assert (await client.get(DEPLOYMENTS)).json()["items"] == []


async def test_the_preview_says_why_each_device_is_left_out(
    node: RunningNode, ada: Person, client: Client, person: MakePerson
) -> None:
    eve = await person("eve@example.test", Role.OPERATOR)
    stopped = '{"file": "/etc/p", "stop": "/etc/stop"}'
    none = '{"file": "/etc/p", "rules": {"releases": "none"}}'
    good = await devices(node, ada, 2)
    left_out = {
        "pending: accept it first": await devices(node, ada, 1, 10, trust="pending"),
        "quarantined: answer its claim first": await devices(node, ada, 1, 11, trust="quarantined"),
        "no key: presence only": await devices(node, ada, 1, 12, public_key=None, trust="unverified"),
        "its agent only watches: its owner has to start it without --watch-only": await devices(
            node, ada, 1, 13, facts=dict(WATCHES_ONLY)
        ),
        "its agent does not know releases: upgrade it": await devices(node, ada, 1, 14, facts={}),
        "the release is for linux, and this is windows": await devices(node, ada, 1, 15, platform="windows"),
        "work there is stopped by the file /etc/stop": await devices(node, ada, 1, 16, policy=stopped),
        "its policy installs no releases": await devices(node, ada, 1, 17, policy=none),
        "it has had 9.0, number 9, and this is number 1: a release never goes back": await devices(node, ada, 1, 19),
        "There is no such device.": await devices(node, eve, 1, 18),
    }
    [ahead] = left_out["it has had 9.0, number 9, and this is number 1: a release never goes back"]
    earlier, target = deployment_row(ahead, ada.id, release_version="9.0", release_number=9, state="succeeded")
    target.state, target.todo, target.touched = "rolled_back", "", True
    async with node.db.write() as session:
        session.add(earlier)
        await session.flush()
        session.add(target)
    ids = [*good, *(id for ids in left_out.values() for id in ids)]
    answer = await client.post(f"{DEPLOYMENTS}/preview", json=asked(ids, strategy={"waves": ["1", "100%"]}))
    preview = answer.json()
    assert answer.status_code == 200, answer.text
    assert {one["id"]: one["why"] for one in preview["excluded"]} == {
        id: why for why, ids in left_out.items() for id in ids
    }
    assert [(one["id"], one["wave"]) for one in preview["devices"]] == [(good[0], 1), (good[1], 2)]
    assert (preview["total"], preview["offline"], preview["needs_approval"]) == (2, 2, False)
    made = await created(client, ids, strategy={"waves": ["1", "100%"]})
    assert made["plan_hash"] == preview["plan_hash"] and made["excluded_total"] == len(left_out)
    again = (await client.post(f"{DEPLOYMENTS}/preview", json=asked(good))).json()
    assert {one["why"] for one in again["excluded"]} == {"a deployment of web 1.0 is not done with it"}


async def test_under_one_key_there_is_one_deployment(node: RunningNode, ada: Person, client: Client) -> None:
    ids = await devices(node, ada)
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(client.post(DEPLOYMENTS, json=asked(ids), headers=key) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await client.post(DEPLOYMENTS, json=asked(ids[:1]), headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


async def test_a_second_person_approves_exactly_what_they_looked_at(
    node: RunningNode, ada: Person, client: Client, person: MakePerson, browse: Browse
) -> None:
    root = await person("root@example.test", Role.ADMIN)
    eve = await person("eve@example.test", Role.OPERATOR)
    ids = await devices(node, ada, ABOVE + 1)
    view = await created(client, ids)
    id, said = view["id"], {"plan_hash": view["plan_hash"], "note": "looks good"}
    assert view["state"] == "awaiting_approval" and view["actions"] == ["approve", "reject", "abort"]
    own = await act(client, id, "approve", **said)
    assert (own.status_code, own.json()["code"]) == (403, "own_deployment")
    boss, stranger = browse(node, root.bearer), browse(node, eve.bearer)
    assert (await act(stranger, id, "approve", **said)).status_code == 404, "none of these devices is eve's"
    changed = await act(boss, id, "approve", plan_hash="0" * 64)
    assert (changed.status_code, changed.json()["code"]) == (409, "plan_changed")
    done = await act(boss, id, "approve", **said)
    assert done.status_code == 202, done.text
    assert done.json()["approval"] | {"at": ""} == {
        "required": True,
        "above": ABOVE,
        "decided": "approved",
        "by": root.email,
        "at": "",
        "note": "looks good",
    }
    await eventually(lambda: _is(client, id, state="running", wave=1))
    twice = await act(boss, id, "reject", plan_hash=view["plan_hash"])
    assert twice.status_code == 409 and "not waiting for an approval" in twice.json()["detail"]
    async with node.db.read() as session:
        query = sa.select(AuditEntry.actor).where(AuditEntry.action == "deployment.approved")
        assert list(await session.scalars(query)) == [root.email]


async def test_who_may_run_on_all_of_its_devices_sees_that_it_waits_and_may_approve(
    node: RunningNode, ada: Person, client: Client, person: MakePerson, browse: Browse
) -> None:
    eve = await person("eve@example.test", Role.OPERATOR)
    ids = await devices(node, ada, ABOVE + 1)
    view = await created(client, ids)
    hers = browse(node, eve.bearer)
    assert (await hers.get(DEPLOYMENTS)).json()["items"] == []
    group = (await client.post("/api/v1/groups", json={"name": "all", "selector": "*"})).json()["id"]
    member = {"email": eve.email, "role": "operator"}
    assert (await client.put(f"/api/v1/groups/{group}/members", json=member)).is_success
    assert [one["id"] for one in (await hers.get(DEPLOYMENTS)).json()["items"]] == [view["id"]]
    forbidden = await act(hers, view["id"], "pause")
    assert forbidden.status_code == 403 and "somebody else's" in forbidden.json()["detail"]
    rejected = await act(hers, view["id"], "reject", plan_hash=view["plan_hash"], note="not on a Friday")
    assert rejected.json()["state"] == "rejected" and rejected.json()["counts"] == {"skipped": ABOVE + 1}
    assert (await act(client, view["id"], "abort")).status_code == 409


async def test_of_two_who_act_at_once_one_is_told_that_it_does_not_apply(
    node: RunningNode, ada: Person, client: Client, browse: Browse
) -> None:
    ids = await devices(node, ada)
    other = browse(node, ada.browser)
    for first, second in [("pause", "pause"), ("resume", "resume"), ("abort", "abort")]:
        if first == "pause":
            view = await created(client, ids)
            await eventually(lambda id=view["id"]: _is(client, id, wave=1))
        answers = await asyncio.gather(act(client, view["id"], first), act(other, view["id"], second))
        assert sorted(answer.status_code for answer in answers) == [202, 409], (first, [one.text for one in answers])
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert refused.json()["code"] == "illegal_transition" and refused.json()["detail"].endswith(".")
    await eventually(lambda: _is(client, view["id"], state="aborted"))
    assert (await act(client, view["id"], "promote", wave=1)).status_code == 409


async def test_abort_against_roll_back_against_resume_leaves_one_story(
    node: RunningNode, ada: Person, client: Client, browse: Browse
) -> None:
    """Whoever comes first, the log tells each thing that was accepted once, and it ends."""
    ids = await devices(node, ada)
    other = browse(node, ada.browser)
    view = await created(client, ids)
    await eventually(lambda: _is(client, view["id"], wave=1))
    assert (await act(client, view["id"], "pause")).status_code == 202
    actions = ["abort", "rollback", "resume"]
    answers = await asyncio.gather(
        *(act(who, view["id"], action) for who, action in zip((client, other, client), actions, strict=True))
    )
    accepted = [action for action, answer in zip(actions, answers, strict=True) if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {202, 409} and accepted
    if accepted == ["resume"]:
        assert (await act(client, view["id"], "abort")).status_code == 202
        accepted.append("abort")

    async def over() -> bool:
        return (await client.get(f"{DEPLOYMENTS}/{view['id']}")).json()["state"] in ("aborted", "rolled_back")

    await eventually(over)
    log = (await client.get(f"{DEPLOYMENTS}/{view['id']}/log")).json()["items"]
    kinds = [one["kind"] for one in log]
    said = {"abort": "aborted", "rollback": "rolling_back", "resume": "resumed"}
    assert sorted(kind for kind in kinds if kind in said.values()) == sorted(said[action] for action in accepted)


async def test_lists_are_narrowed_and_paged(node: RunningNode, ada: Person, client: Client) -> None:
    ids = await devices(node, ada, 3)
    views = [await created(client, [id], strategy={"waves": ["100%"]}) for id in ids]
    await act(client, views[0]["id"], "abort")
    await eventually(lambda: _is(client, views[0]["id"], state="aborted"))
    page = (await client.get(DEPLOYMENTS, params={"limit": 2})).json()
    assert [one["id"] for one in page["items"]] == [views[2]["id"], views[1]["id"]]
    rest = (await client.get(DEPLOYMENTS, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [one["id"] for one in rest["items"]] == [views[0]["id"]] and rest["next_cursor"] is None
    aborted = (await client.get(DEPLOYMENTS, params={"state": ["aborted"]})).json()["items"]
    assert [one["id"] for one in aborted] == [views[0]["id"]]
    assert (await client.get(DEPLOYMENTS, params={"name": "other"})).json()["items"] == []
    targets = (await client.get(f"{DEPLOYMENTS}/{views[0]['id']}/targets", params={"wave": 1})).json()["items"]
    assert [(one["device_id"], one["state"], one["reason"]) for one in targets] == [
        (ids[0], "skipped", "the deployment was aborted before its turn")
    ]
    waiting = (await client.get(f"{DEPLOYMENTS}/{views[1]['id']}/targets", params={"state": ["pending"]})).json()
    [target] = waiting["items"]
    assert target["reason"].startswith("offline") and target["next_event"] == "starts when it is back"
    history = (await client.get(f"/api/v1/devices/{ids[0]}/deployments")).json()["items"]
    assert [(one["deployment"], one["readable"]) for one in history] == [(views[0]["id"], True)]


async def test_dashboards_hear_of_their_deployments_and_of_the_targets_that_they_watch(
    node: RunningNode, ada: Person, client: Client, person: MakePerson, watch: Watch
) -> None:
    eve = await person("eve@example.test", Role.OPERATOR)
    ids = await devices(node, ada, 1, status="offline")
    hers, stranger = await watch(node, ada, batch=True), await watch(node, eve, batch=True)
    view = await created(client, ids)
    told = await hers.payload(events.DEPLOYMENTS_CHANGED, where=lambda payload: payload["deployments"][0]["wave"] == 1)
    assert told["deployments"][0]["id"] == view["id"]
    assert await hers.call(events.WATCH_DEPLOYMENT, {"deployment_id": view["id"]}) == {"ok": True, "data": {}}
    refused = await stranger.call(events.WATCH_DEPLOYMENT, {"deployment_id": view["id"]})
    assert refused["error"]["code"] == "not_found"
    bad = await hers.call(events.WATCH_DEPLOYMENT, {"deployment_id": "x"})
    assert bad["error"]["code"] == "invalid_payload"
    await client.post(f"{DEPLOYMENTS}/{view['id']}/abort")
    target = (await hers.payload(events.DEPLOYMENT_TARGETS_CHANGED))["targets"][0]
    assert (target["device_id"], target["state"]) == (ids[0], "skipped")
    ended = await hers.payload(
        events.DEPLOYMENTS_CHANGED, where=lambda payload: payload["deployments"][0]["state"] == "aborted"
    )
    assert ended["deployments"][0]["actions"] == ["rollback"]
    assert not [name for name, _ in stranger.heard if name.startswith("deployment")]


@pytest.mark.databases("sqlite")
async def test_deleting_a_device_does_not_stop_it(node: RunningNode, ada: Person, client: Client) -> None:
    ids = await devices(node, ada)
    view = await created(client, ids)
    await eventually(lambda: _is(client, view["id"], wave=1))
    assert (await client.delete(f"/api/v1/devices/{ids[0]}")).is_success
    await eventually(lambda: _is(client, view["id"], counts={"pending": 1, "skipped": 1}))
    async with node.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Device)) == 1


async def _is(client: Client, id: str, **wanted: Any) -> bool:
    view = (await client.get(f"{DEPLOYMENTS}/{id}")).json()
    return all(view[name] == value for name, value in wanted.items())
