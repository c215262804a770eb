"""What sharing does not open: a viewer's limits, a former member, somebody else's devices behind a selector."""

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from app.audit.models import AuditEntry
from app.tasks.models import Task
from tests.sharing.conftest import House
from tests.support import rows
from tests.support.node import eventually
from tests.web.test_permissions import ALLOWED

SECRETS = ("the-secret-of-bob", "device-00009", "agent-00009", "machine-00009")
RUN = {"command": ["true"]}


async def statuses(house: House, who: Any, *requests: tuple[str, str, Any]) -> list[int]:
    """How the server answers each of them."""
    client = house.as_(who)
    return [(await client.request(method, path, json=body)).status_code for method, path, body in requests]


async def test_threat_12_a_member_changes_nothing_about_a_device(house: House) -> None:
    device = house.hers[0]
    async with house.node.db.write() as session:
        session.add(claim := rows.claim(device))
    group = await house.group(house.ada, "web", selector="role=web")
    before = (await house.as_(house.ada).get(f"/api/v1/devices/{device.id}")).json()
    changes = [
        ("PATCH", f"/api/v1/devices/{device.id}", {"device_name": "mine now"}),
        ("PATCH", f"/api/v1/devices/{device.id}", {"tags": {"role": "db"}}),
        ("PATCH", f"/api/v1/devices/{device.id}", {"user_id": house.eve.id}),
        ("DELETE", f"/api/v1/devices/{device.id}", None),
        ("POST", f"/api/v1/devices/{device.id}/accept", None),
        ("POST", f"/api/v1/devices/{device.id}/reject", None),
        *(("POST", f"/api/v1/claims/{claim.id}/{answer}", None) for answer in ("accept", "reject", "moved", "split")),
        ("PATCH", f"/api/v1/groups/{group}", {"selector": "*"}),
        ("DELETE", f"/api/v1/groups/{group}", None),
        ("GET", f"/api/v1/groups/{group}", None),
        ("GET", f"/api/v1/groups/{group}/members", None),
        ("PUT", f"/api/v1/groups/{group}/members", {"email": house.bob.email, "role": "viewer"}),
        ("PUT", f"/api/v1/groups/{group}/members", {"email": house.eve.email, "role": "operator"}),
        ("DELETE", f"/api/v1/groups/{group}/members/{house.vic.id}", None),
    ]
    for who, role in itertools.product((house.eve, house.vic), ("viewer", "operator")):
        await house.share(house.ada, group, who, role)
        assert await house.sees(who) == {house.hers[0].id, house.hers[1].id}
        assert set(await statuses(house, who, *changes)) <= {403, 404}, (who.email, role)
        told = await house.as_(who).get("/api/v1/claims")
        assert told.json()["items"] == []
    assert (await house.as_(house.ada).get(f"/api/v1/devices/{device.id}")).json() == before
    assert len((await house.as_(house.ada).get("/api/v1/claims")).json()["items"]) == 1
    assert await house.sees(house.bob) == {house.his[0].id}


async def test_threat_12_a_viewer_runs_nothing_on_what_is_shared(house: House) -> None:
    shared = house.hers[0].id
    group = await house.group(house.ada, "web", selector="role=web")
    await house.share(house.ada, group, house.eve, "viewer")
    await house.share(house.ada, group, house.vic, "operator")
    eve = house.as_(house.eve)
    for targets in ({"device_ids": [shared]}, {"selector": "*"}, {"selector": f"id={shared}"}):
        answer = await eve.post("/api/v1/runs", json={**RUN, "targets": targets})
        assert (answer.status_code, answer.json()["code"]) == (422, "no_device_matched"), answer.text
        assert "shared with you to look at" in answer.json()["detail"]
        preview = (await eve.post("/api/v1/runs/preview", json={"targets": targets})).json()
        assert (preview["total"], preview["devices"]) == (0, [])
    # an operator in the group is none in the house
    run = {**RUN, "targets": {"device_ids": [shared]}}
    assert await statuses(house, house.vic, ("POST", "/api/v1/runs", run)) == [403]
    await house.share(house.ada, group, house.eve, "operator")
    started = await eve.post("/api/v1/runs", json=run)
    assert started.status_code == 202, started.text
    assert (await eve.get("/api/v1/runs")).json()["items"][0]["id"] == started.json()["id"]
    # to whom it belongs is told that it was run, and by whom, not what
    [task] = (await house.as_(house.ada).get(f"/api/v1/devices/{shared}/tasks")).json()["items"]
    assert (task["created_by"], task["readable"], task["run_title"]) == (house.eve.email, False, "")
    assert (await house.as_(house.ada).get(f"/api/v1/runs/{started.json()['id']}")).status_code == 404
    # another member sees neither the run nor that there was one
    assert (await house.as_(house.vic).get(f"/api/v1/devices/{shared}/tasks")).json()["items"] == []
    # and back to a viewer: nothing is repeated
    await house.share(house.ada, group, house.eve, "viewer")
    async with house.node.db.write() as session:
        await session.execute(sa.text("UPDATE tasks SET state = 'failed'"))
    again = await eve.post(f"/api/v1/runs/{started.json()['id']}/retry", json={"states": ["failed"]})
    assert (again.status_code, again.json()["code"]) == (422, "no_device_matched")


@pytest.mark.databases("sqlite")  # `test_members` has the same scopes on both
@pytest.mark.parametrize("how", ["removed", "left", "deleted", "changed", "retagged", "given", "unpicked"])
async def test_threat_12_a_former_member_finds_nothing_on_any_route(how: str, house: House) -> None:
    device = house.hers[0]
    async with house.node.db.write() as session:
        session.add(claim := rows.claim(device))
    what = {"device_ids": [device.id]} if how == "unpicked" else {"selector": "role=web"}
    group = await house.group(house.ada, "web", **what)
    await house.share(house.ada, group, house.eve, "operator")
    eve, ada = house.as_(house.eve), house.as_(house.ada)
    run = (await eve.post("/api/v1/runs", json={**RUN, "targets": {"device_ids": [device.id]}})).json()
    [task] = (await eve.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
    assert (await eve.get(f"/api/v1/tasks/{task['id']}/output")).status_code == 200
    ends: dict[str, tuple[str, str, dict[str, object] | None]] = {
        "removed": ("DELETE", f"/api/v1/groups/{group}/members/{house.eve.id}", None),
        "left": ("DELETE", f"/api/v1/shares/{group}", None),
        "deleted": ("DELETE", f"/api/v1/groups/{group}", None),
        "changed": ("PATCH", f"/api/v1/groups/{group}", {"selector": "role=db"}),
        "retagged": ("PATCH", f"/api/v1/devices/{device.id}", {"tags": {}}),
        "given": ("PATCH", f"/api/v1/devices/{device.id}", {"user_id": house.bob.id}),
        "unpicked": ("PATCH", f"/api/v1/groups/{group}", {"device_ids": []}),
    }
    method, path, body = ends[how]
    who = {"left": eve, "given": house.as_(house.root)}.get(how, ada)
    assert (await who.request(method, path, json=body)).status_code in (200, 204)

    ids = {"device_id": device.id, "claim_id": claim.id, "task_id": task["id"], "group_id": group}
    for method, path in ALLOWED:
        if any(f"{{{name}}}" in path for name in ids) and "/shares/" not in path:
            sent = {"PATCH": {"device_name": "x"}, "PUT": {"email": house.vic.email, "role": "viewer"}}.get(method)
            sent = {"name": "x"} if path == "/api/v1/groups/{group_id}" and sent else sent
            url = path.format(**ids, user_id=house.eve.id)
            answer = await eve.request(method, url, json=sent)
            assert answer.status_code == 404, f"{method} {url}: {answer.text}"
    # what was printed there is in no download, no list and no group of outputs; the run itself is what she asked for
    assert (await eve.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"] == []
    assert (await eve.get(f"/api/v1/runs/{run['id']}/outputs")).json()["items"] == []
    archive = await eve.get(f"/api/v1/runs/{run['id']}/output.zip")
    assert device.device_name.encode() not in archive.content
    for method, path in ALLOWED:
        if method == "GET" and "{" not in path and not path.startswith(("/api/v1/audit", "/api/v1/users", "/metrics")):
            answer = await eve.get(path, params={"selector": "*", "window": "24h"})
            assert device.device_name not in answer.text, path
            assert device.agent_id not in answer.text, path
    counts = (await eve.get("/api/v1/stats")).json()
    assert counts["total"] == (1 if how in ("retagged", "given") else 0)  # the other one of the group
    start = await eve.post("/api/v1/runs", json={**RUN, "targets": {"device_ids": [device.id]}})
    assert (start.status_code, "There is no such device" in start.text) == (422, True)


async def test_threat_12_what_was_done_on_a_borrowed_device_goes_with_it(house: House) -> None:
    """It is deleted after the share ended: the task loses its device, and nobody gets it back by that."""
    group = await house.group(house.ada, "web", device_ids=[house.hers[0].id])
    await house.share(house.ada, group, house.eve, "operator")
    eve, ada = house.as_(house.eve), house.as_(house.ada)
    run = (await eve.post("/api/v1/runs", json={**RUN, "targets": {"selector": "*"}})).json()
    [task] = (await eve.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
    await house.unshare(house.ada, group, house.eve)
    assert (await ada.delete(f"/api/v1/devices/{house.hers[0].id}")).status_code == 204
    assert (await eve.get(f"/api/v1/tasks/{task['id']}")).status_code == 404
    assert (await eve.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"] == []


async def test_threat_12_no_group_pulls_in_the_devices_of_others(house: House) -> None:
    """Neither a selector nor a list of ids, nor an administrator's group that may name everyone's."""
    his = house.his[0].id
    every = await house.group(house.ada, "every", selector="*")
    owned = await house.group(house.ada, "owned", selector=f"owner={house.bob.email}")
    inverse = await house.group(house.ada, "inverse", selector=f"!nothing,id!={house.hers[0].id}")
    named = await house.group(house.ada, "named", selector=f"id in ({his},{house.hers[0].id})")
    around = await house.group(house.ada, "around", selector="group!=owned")
    for group in (every, owned, inverse, named, around):
        await house.share(house.ada, group, house.eve, "operator")
    assert await house.sees(house.eve) == {device.id for device in house.hers}
    roots = await house.group(house.root, "all of them", device_ids=[his])
    more = await house.group(house.root, "all", selector="*")
    for group in (roots, more):
        await house.share(house.root, group, house.eve, "operator")
    assert await house.sees(house.eve) == {device.id for device in house.hers}
    # Eve is shown Ada's, and cannot pass them on
    mine = await house.group(house.eve, "mine", device_ids=[house.hers[0].id])
    alls = await house.group(house.eve, "alls", selector="*")
    for group in (mine, alls):
        await house.share(house.eve, group, house.vic)
    assert await house.sees(house.vic) == set()
    eve = house.as_(house.eve)
    for text in ("*", f"id={his}", "role=web", "name=*9", f"owner={house.bob.email}", "hostname=the-secret*"):
        for path in ("/api/v1/devices", "/api/v1/selectors/check"):
            answer = await eve.get(path, params={"selector": text})
            assert not any(secret in answer.text for secret in SECRETS if secret not in text), (path, text)
            assert answer.json().get("count", len(answer.json().get("items", []))) <= len(house.hers)
    words = await eve.get("/api/v1/selectors/words")
    assert not any(secret in words.text for secret in SECRETS)


@pytest.mark.databases("sqlite")
async def test_threat_15_nobody_gives_a_role_above_their_own(house: House) -> None:
    vics = rows.device(20, user_id=house.vic.id)
    async with house.node.db.write() as session:
        session.add(vics)
    group = await house.group(house.vic, "mine", device_ids=[vics.id])
    body = {"email": house.eve.email, "role": "operator"}
    refused = await house.as_(house.vic).put(f"/api/v1/groups/{group}/members", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_above_own")
    await house.share(house.vic, group, house.eve, "viewer")
    assert await house.sees(house.eve) == {vics.id}
    made = await house.as_(house.ada).post(
        "/api/v1/api-tokens", json={"name": "limited", "scopes": ["devices", "runs"]}
    )
    adas = await house.group(house.ada, "web", selector="role=web")
    limited = house.browse(house.node, {"authorization": f"Bearer {made.json()['token']}"})
    answer = await limited.put(f"/api/v1/groups/{adas}/members", json=body)
    assert answer.status_code == 403  # a limited token opens nothing to others


async def test_threat_15_a_member_who_is_demoted_runs_nothing_any_more(house: House) -> None:
    group = await house.group(house.ada, "web", selector="role=web")
    await house.share(house.ada, group, house.eve, "operator")
    run = {**RUN, "targets": {"device_ids": [house.hers[0].id]}}
    assert await statuses(house, house.eve, ("POST", "/api/v1/runs", run)) == [202]
    async with house.node.db.write() as session:
        await session.execute(sa.text("UPDATE users SET role = 'viewer' WHERE id = :id"), {"id": house.eve.id})
    assert await statuses(house, house.eve, ("POST", "/api/v1/runs", run)) == [403]
    access = (await house.as_(house.eve).get(f"/api/v1/devices/{house.hers[0].id}/access")).json()
    assert (access["may_run"], access["may_change"]) == (False, False)


@pytest.mark.parametrize("how", ["removed", "viewer", "unpicked"])
async def test_threat_15_what_a_former_operator_left_waiting_is_never_run(how: str, house: House) -> None:
    """The device is away: what waits for it is called off, and what is still shared is left alone."""
    kept, lost = house.hers[0].id, house.hers[2].id
    first = await house.group(house.ada, "kept", device_ids=[kept])
    second = await house.group(house.ada, "lost", device_ids=[lost])
    for group in (first, second):
        await house.share(house.ada, group, house.eve, "operator")
    run = await house.as_(house.eve).post("/api/v1/runs", json={**RUN, "targets": {"device_ids": [kept, lost]}})
    own = await house.as_(house.ada).post("/api/v1/runs", json={**RUN, "targets": {"device_ids": [lost]}})
    if how == "removed":
        await house.unshare(house.ada, second, house.eve)
    elif how == "viewer":
        await house.share(house.ada, second, house.eve, "viewer")
    else:
        await house.as_(house.ada).patch(f"/api/v1/groups/{second}", json={"device_ids": []})

    async def states() -> dict[tuple[str, int], str]:
        async with house.node.db.read() as session:
            query = sa.select(Task.run_id, Task.device_id, Task.state)
            return {(row.run_id, row.device_id): row.state for row in await session.execute(query)}

    hers, theirs = run.json()["id"], own.json()["id"]
    wanted = {(hers, kept): "queued", (hers, lost): "cancelled", (theirs, lost): "queued"}

    async def called_off() -> bool:
        return await states() == wanted

    await eventually(called_off, within_s=5, what="what is not shared any more")
    async with house.node.db.read() as session:
        actor = await session.scalar(sa.select(AuditEntry.actor).where(AuditEntry.action == "run.withdrawn"))
    assert actor == "server"


async def test_threat_12_a_token_does_not_tell_of_devices_that_went_to_somebody_else(house: House) -> None:
    made = await house.as_(house.ada).post("/api/v1/enrollment-tokens", json={"name": "x", "max_uses": 2})
    path = f"/api/v1/enrollment-tokens/{made.json()['id']}"
    async with house.node.db.write() as session:
        mine, his = (rows.device(30 + n, enrollment_token_id=made.json()["id"]) for n in range(2))
        mine.user_id, his.user_id = house.ada.id, house.bob.id
        session.add_all([mine, his])
    shown = (await house.as_(house.ada).get(path)).json()["devices"]
    assert [device["id"] for device in shown] == [mine.id]
    assert len((await house.as_(house.root).get(path)).json()["devices"]) == 2
