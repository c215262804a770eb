"""Reading runs and tasks: lists, pages, filters, counts, groups of equal output, and that nobody reads another's."""

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.clock import utcnow
from app.db import Database
from app.devices.models import Device
from app.devices.service import DeviceService, Here
from app.ids import new_id
from app.tasks import runs_repository
from app.tasks.models import Run, Task
from app.tasks.reading import WorkReader
from app.uow import UnitOfWork
from deployx_protocol.states import Trust
from tests.support import rows, work
from tests.support.node import RunningNode
from tests.support.server import Browse, MakePerson, Person

RUNS = "/api/v1/runs"
TASKS = "/api/v1/tasks"


async def put(node: RunningNode, *made: Any) -> None:
    async with node.db.write() as session:
        for one in made:
            session.add(one)
            await session.flush()


async def fleet(node: RunningNode, count: int, owner: Person | None = None) -> list[Device]:
    made = [rows.device(n, user_id=owner.id if owner else None) for n in range(1, count + 1)]
    await put(node, *made)
    return made


async def all_of(client: httpx2.AsyncClient, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = await client.get(path, params={"limit": limit, **query} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_runs_are_listed_newest_first_a_page_at_a_time(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    ada = await person()
    [device] = await fleet(node, 1)
    made = []
    for n in range(23):
        owner = bob if n % 2 else ada
        run = work.run(user_id=owner.id, created_by=owner.email, title=f"echo 100% {n}")
        await put(node, run, work.task(run, device.id))
        made.append(run.id)
    client = browse(node, bob.bearer)
    mine = await all_of(client, RUNS, 4)
    assert [run["id"] for run in mine] == [run_id for n, run_id in enumerate(made) if n % 2][::-1]
    assert len(await all_of(client, RUNS, 11)) == 11  # exactly full
    everyone = browse(node, ada.bearer)
    assert [run["id"] for run in await all_of(everyone, RUNS, 7)] == made[::-1]
    assert [run["title"] for run in await all_of(everyone, RUNS, 500, q="100% 2")] == [
        f"echo 100% {n}" for n in (22, 21, 20, 2)
    ]
    assert len(await all_of(everyone, RUNS, 500, q="BOB@")) == 11
    assert len(await all_of(everyone, RUNS, 500, by="Bob@example.test")) == 11
    assert await all_of(everyone, RUNS, 500, by="bob") == []
    assert await all_of(everyone, RUNS, 500, q="100_") == []
    for bad in ({"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"state": "odd"}, {"q": "x" * 201}, {"q": "\x00"}):
        assert (await client.get(RUNS, params=bad)).status_code == 422, bad
    tasks = (await client.get(f"{RUNS}/{mine[0]['id']}/tasks", params={"limit": 1})).json()
    assert tasks["next_cursor"] is None
    other = (await client.get(RUNS, params={"limit": 1})).json()["next_cursor"]
    assert (await client.get(f"{RUNS}/{mine[0]['id']}/tasks", params={"cursor": other})).status_code == 422


async def test_runs_are_narrowed_to_those_that_go_on_that_ended_and_that_failed(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    [device] = await fleet(node, 1)
    now = utcnow()
    going, good, bad, called_off = (work.run(user_id=ada.id, finished_at=end) for end in (None, now, now, now))
    await put(node, going, good, bad, called_off)
    for run, state in ((going, "failed"), (going, "running"), (good, "succeeded"), (bad, "lost")):
        await put(node, work.task(run, device.id, state=state))
    await put(node, work.task(called_off, device.id, state="cancelled"))
    client = browse(node, ada.bearer)
    for state, expected in (
        ("active", {going.id}),
        ("finished", {good.id, bad.id, called_off.id}),
        ("failed", {bad.id}),
    ):
        assert {run["id"] for run in await all_of(client, RUNS, 2, state=state)} == expected, state
    [view] = await all_of(client, RUNS, 2, state="active")
    assert view["counts"] == {"failed": 1, "running": 1}


async def test_tasks_of_a_run_are_narrowed_by_state_output_and_device(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    devices = await fleet(node, 12)
    run = work.run(12, user_id=ada.id)
    states = ["succeeded", "failed", "queued"] * 4
    digests = {"succeeded": "a" * 64, "failed": "b" * 64, "queued": ""}
    made = [
        work.task(run, device.id, device_name=device.device_name, state=state, digest=digests[state])
        for device, state in zip(devices, states, strict=True)
    ]
    await put(node, run, *made)
    client = browse(node, ada.bearer)
    path = f"{RUNS}/{run.id}/tasks"
    everything = await all_of(client, path, 5)
    assert [task["id"] for task in everything] == [task.id for task in made]
    assert (await client.get(f"{RUNS}/{run.id}")).json()["counts"] == {"failed": 4, "queued": 4, "succeeded": 4}
    some = await all_of(client, path, 3, state=["failed", "queued"])
    assert [task["state"] for task in some] == ["failed", "queued"] * 4
    assert {task["state"] for task in await all_of(client, path, 3, digest="a" * 64)} == {"succeeded"}
    assert [task["device_name"] for task in await all_of(client, path, 9, q="E-00003")] == ["device-00003"]
    assert (await client.get(path, params={"state": "odd"})).status_code == 422


async def test_equal_outputs_are_grouped_the_largest_first(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    devices = await fleet(node, 9)
    run = work.run(9, user_id=ada.id)
    kinds = (
        [("succeeded", "a" * 64, 0)] * 4
        + [("failed", "a" * 64, 3)] * 2
        + [("failed", "b" * 64, 3)]
        + [("lost", "", None)]
    )
    made = [
        work.task(run, device.id, state=state, digest=digest, exit_code=code)
        for device, (state, digest, code) in zip(devices, kinds, strict=False)
    ]
    await put(node, run, *made, work.task(run, devices[8].id, state="running"))
    answer = (await browse(node, ada.bearer).get(f"{RUNS}/{run.id}/outputs")).json()
    found = [(one["state"], one["digest"][:1], one["exit_code"], one["count"]) for one in answer["items"]]
    assert found[:2] == [("succeeded", "a", 0, 4), ("failed", "a", 3, 2)]
    assert set(found[2:]) == {("failed", "b", 3, 1), ("lost", "", None, 1)}
    assert answer["items"][0]["sample_task_id"] == made[0].id
    assert answer["more"] == 0


async def test_a_devices_tasks_are_those_of_ones_own_runs_and_the_bare_facts_of_others(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    ada = await person()
    [device] = await fleet(node, 1, bob)
    mine, theirs = work.run(user_id=bob.id, title="date"), work.run(user_id=ada.id, created_by=ada.email)
    await put(node, mine, theirs)
    tasks = [work.task(run, device.id, digest="a" * 64, borrowed=run is theirs) for run in (mine, theirs, mine)]
    await put(node, *tasks)
    path = f"/api/v1/devices/{device.id}/tasks"
    seen = await all_of(browse(node, bob.bearer), path, 1)
    assert [task["id"] for task in seen] == [task.id for task in reversed(tasks)]
    told = [(task["created_by"], task["run_title"], task["digest"][:1], task["readable"]) for task in seen]
    assert told == [
        (mine.created_by, "date", "a", True),
        (ada.email, "", "", False),
        (mine.created_by, "date", "a", True),
    ]
    foreign = await browse(node, bob.bearer).get(f"/api/v1/tasks/{tasks[1].id}")
    assert foreign.status_code == 404  # it happened on the owner's device; what it printed is not the owner's
    everything = await all_of(browse(node, ada.bearer), path, 2)
    assert [task["id"] for task in everything] == [task.id for task in reversed(tasks)]
    assert everything[1]["created_by"] == ada.email


async def test_a_waiting_task_says_why_and_what_comes_next(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    first, second, third = await fleet(node, 3)
    run = work.run(4, user_id=ada.id, max_parallel=1)
    away = await put_states(node, run, [(first.id, "running"), (second.id, "queued"), (second.id, "queued")])
    gone = work.task(run, third.id)
    await put(node, gone)
    async with node.db.write() as session:
        at = utcnow().replace(microsecond=0)
        change = sa.update(Device).where(Device.id == second.id)
        await session.execute(change.values(status="offline", status_since=at))
        await session.execute(sa.delete(Device).where(Device.id == third.id))
    client = browse(node, ada.bearer)
    since = at.isoformat().replace("+00:00", "Z")
    until = run.expires_at.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    one = (await client.get(f"{TASKS}/{away[1]}")).json()
    assert (one["reason"], one["next_event"]) == (f"offline since {since}", f"sent when it is back, until {until}")
    two = (await client.get(f"{TASKS}/{away[2]}")).json()
    assert two["reason"] == f"offline since {since}; queued behind 1 run"
    await work.in_state(node.db, gone.id, "cancelled")
    nobody = (await client.get(f"{TASKS}/{gone.id}")).json()
    assert (nobody["device_id"], nobody["reason"], nobody["next_event"]) == (
        None,
        "the device was deleted before this was sent",
        "",
    )
    async with node.db.write() as session:
        await session.execute(sa.update(Device).values(status="online", node_id=(await node.nodes())[0].id))
    limited = (await client.get(f"{TASKS}/{away[1]}")).json()
    assert limited["reason"] == "waits: 1 of 1 in flight"
    async with node.db.write() as session:
        await session.execute(sa.update(Device).values(trust=Trust.QUARANTINED))
    held = (await client.get(f"{TASKS}/{away[1]}")).json()
    assert held["reason"] == "the device is quarantined, and gets no work"


async def put_states(node: RunningNode, run: Any, states: list[tuple[int, str]]) -> list[str]:
    made = [
        work.task(run, device_id, state=state, started_at=utcnow() if state == "running" else None)
        for device_id, state in states
    ]
    await put(node, run, *made)
    return [task.id for task in made]


# ---------------------------------------------------------------- cancelling


async def test_cancelling_a_run_ends_what_waits_and_asks_the_devices_for_the_rest(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    devices = await fleet(node, 4)
    run = work.run(4, user_id=ada.id)
    states = ["queued", "running", "accepted", "succeeded"]
    ids = await put_states(node, run, [(device.id, state) for device, state in zip(devices, states, strict=True)])
    client = browse(node, ada.bearer)
    answer = await client.post(f"{RUNS}/{run.id}/cancel")
    assert answer.status_code == 202
    assert answer.json()["counts"] == {"cancelled": 1, "running": 1, "accepted": 1, "succeeded": 1}
    assert (answer.json()["finished_at"], answer.json()["rev"] > run.rev) == (None, True)
    assert (await client.get(f"{RUNS}/{run.id}")).json()["cancelled_at"]
    before = {task.id: task for task in await node.rows(Task)}
    assert [before[one].cancel_requested_at is not None for one in ids] == [False, True, True, False]
    assert before[ids[0]].deadline_at is None
    running = (await client.get(f"{TASKS}/{ids[1]}")).json()
    assert running["cancel_requested"] is True
    assert running["reason"].startswith("called off at 2")
    assert (await client.post(f"{RUNS}/{run.id}/cancel")).status_code == 202
    after = {task.id: task for task in await node.rows(Task)}
    assert {one: task.cancel_requested_at for one, task in after.items()} == {
        one: task.cancel_requested_at for one, task in before.items()
    }


@pytest.mark.databases("sqlite")
async def test_what_is_over_is_not_cancelled(node: RunningNode, browse: Browse, person: MakePerson) -> None:
    ada = await person()
    [device] = await fleet(node, 1)
    run = work.run(2, user_id=ada.id)
    waiting, done = await put_states(node, run, [(device.id, "queued"), (device.id, "timed_out")])
    client = browse(node, ada.bearer)
    refused = await client.post(f"{TASKS}/{done}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")
    assert refused.json()["detail"] == "This task is timed out; there is nothing to cancel."
    answer = await client.post(f"{TASKS}/{waiting}/cancel")
    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (
        202,
        "cancelled",
        "called off before it started",
    )
    assert (await client.get(f"{RUNS}/{run.id}")).json()["finished_at"]
    for path in (f"{TASKS}/{waiting}/cancel", f"{RUNS}/{run.id}/cancel"):
        again = await client.post(path)
        assert (again.status_code, again.json()["code"]) == (409, "illegal_transition")


# ---------------------------------------------------------------- whose they are


async def test_threat_12_another_users_run_is_answered_as_one_that_is_not_there(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    eve = await person("eve@example.test", Role.OPERATOR)
    [device] = await fleet(node, 1, bob)
    run = work.run(user_id=bob.id, title="secret title", finished_at=None)
    task = work.task(run, device.id, state="failed", output_next_seq=1, device_name="secret device")
    await put(node, run, task)
    kept = (
        await browse(node, bob.bearer).post(
            "/api/v1/saved-commands", json={"name": "secret name", "request": {"shell": "secret line"}}
        )
    ).json()
    theirs = {"run": run.id, "task": task.id, "device": device.id, "saved": kept["id"]}
    nobodys = {"run": new_id(), "task": new_id(), "device": 4711, "saved": new_id()}
    paths = [
        ("GET", "/runs/{run}"),
        ("GET", "/runs/{run}/tasks"),
        ("GET", "/runs/{run}/outputs"),
        ("GET", "/runs/{run}/output.zip"),
        ("POST", "/runs/{run}/retry"),
        ("POST", "/runs/{run}/cancel"),
        ("GET", "/tasks/{task}"),
        ("POST", "/tasks/{task}/cancel"),
        ("GET", "/tasks/{task}/output"),
        ("GET", "/tasks/{task}/output?wait_s=20"),
        ("GET", "/tasks/{task}/output/stdout"),
        ("GET", "/tasks/{task}/output/stderr"),
        ("GET", "/devices/{device}/tasks"),
        ("GET", "/saved-commands/{saved}"),
        ("DELETE", "/saved-commands/{saved}"),
    ]
    client = browse(node, eve.bearer)
    for method, path in paths:
        answers = [await client.request(method, "/api/v1" + path.format(**ids)) for ids in (theirs, nobodys)]
        known, unknown = ({**answer.json(), "request_id": ""} for answer in answers)
        assert [answer.status_code for answer in answers] == [404, 404], path
        assert known == unknown, path
    for path in ("/runs", "/saved-commands", "/runs?q=secret"):
        answer = await client.get("/api/v1" + path)
        assert answer.json()["items"] == []
        assert "secret" not in answer.text
    body = {"shell": "id", "targets": {"device_ids": [device.id]}}
    for path in (RUNS, f"{RUNS}/preview"):
        assert "secret" not in (await client.post(path, json=body)).text
        assert "device-0" not in (await client.post(path, json=body)).text
    row = await work.one_task(node.db, task.id)
    assert (row.state, row.cancel_requested_at) == ("failed", None)
    viewer = await person("vic@example.test", Role.VIEWER)
    assert (await browse(node, viewer.bearer).get(f"{RUNS}/{run.id}")).status_code == 404
    ada = await person()
    assert (await browse(node, ada.bearer).get(f"{RUNS}/{run.id}")).status_code == 200


# ---------------------------------------------------------------- saved commands


async def test_saved_commands_are_kept_by_name_each_their_own(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob, ada = await person("bob@example.test", Role.OPERATOR), await person()
    client = browse(node, bob.bearer)
    path = "/api/v1/saved-commands"
    script = base64.b64encode(bytes(range(200))).decode()
    request = {"script": f"#!/bin/sh\necho {script}", "args": ["a"], "env": {"A": "b"}, "timeout_s": 5}
    made = await client.post(path, json={"name": "Disk use", "request": request})
    assert made.status_code == 201, made.text
    saved = made.json()
    assert (saved["kind"], saved["title"][:6], saved["name"]) == ("script", "echo A", "Disk use")
    assert {name: saved["request"][name] for name in request} == request
    assert (await client.get(f"{path}/{saved['id']}")).json() == saved
    twice = await client.post(path, json={"name": "Disk use", "request": {"shell": "df"}})
    assert (twice.status_code, twice.json()["code"]) == (409, "name_taken")
    assert (await browse(node, ada.bearer).post(path, json={"name": "Disk use", "request": {"shell": "df"}})).is_success
    await client.post(path, json={"name": "Aa", "request": {"command": ["id"]}})
    assert [one["name"] for one in (await client.get(path)).json()["items"]] == ["Aa", "Disk use"]
    bad: list[tuple[dict[str, Any], str]] = [
        ({"name": "x", "request": {}}, "empty_command"),
        ({"name": "x", "request": {"shell": "a", "cwd": "b"}}, "invalid_cwd"),
        ({"name": "x", "request": {"script": "#!/bin/sh\n" + "x" * 66_000}}, "command_too_long"),
        ({"name": "", "request": {"shell": "a"}}, "invalid_input"),
        ({"name": "x", "request": {"shell": "a", "targets": {"selector": "*"}}}, "invalid_input"),
    ]
    for body, code in bad:
        answer = await client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), body
    assert (await client.delete(f"{path}/{saved['id']}")).status_code == 204
    assert (await client.delete(f"{path}/{saved['id']}")).status_code == 404


@pytest.mark.databases("sqlite")
async def test_a_run_and_its_output_outlive_the_devices_next_owner(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    eve = await person("eve@example.test", Role.OPERATOR)
    [device] = await fleet(node, 1, bob)
    run = work.run(user_id=bob.id, expires_at=utcnow() + timedelta(hours=1))
    task = work.task(run, device.id, state="failed")
    await put(node, run, task)
    async with node.db.write() as session:
        await session.execute(sa.update(Device).values(user_id=eve.id))
    client = browse(node, bob.bearer)
    assert (await client.get(f"{TASKS}/{task.id}")).json()["device_name"] == task.device_name
    assert (await client.get(f"/api/v1/devices/{device.id}/tasks")).status_code == 404
    retried = await client.post(f"{RUNS}/{run.id}/retry")
    assert (retried.status_code, retried.json()["code"]) == (422, "no_device_matched")
    assert "not among your devices" in retried.json()["detail"]
    assert await all_of(browse(node, eve.bearer), f"/api/v1/devices/{device.id}/tasks", 5) == []


async def test_a_run_and_its_counts_are_of_one_moment(
    db: Database, uow: UnitOfWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.write() as session:
        session.add(rows.device(1))
    [task_id] = await work.queue(db, [1])
    here = Here(live_nodes=lambda: ())
    reader = WorkReader(db, DeviceService(uow, db, here), here.live_nodes)
    counts = runs_repository.counts

    async def late(session: AsyncSession, run_ids: Sequence[str]) -> Any:
        async with db.write() as other:  # it ends between the two queries
            await other.execute(sa.update(Task).values(state="succeeded"))
            await other.execute(sa.update(Run).values(finished_at=utcnow(), rev=Run.rev + 1))
        return await counts(session, run_ids)

    monkeypatch.setattr(runs_repository, "counts", late)
    run_id = (await work.one_task(db, task_id)).run_id
    [view] = await reader.by_ids([run_id])
    assert (view.finished_at, view.counts) == (None, {"queued": 1})
