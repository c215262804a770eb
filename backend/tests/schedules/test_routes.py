"""Schedules over HTTP: what is shown to whom, what is refused, and that a server fires what is due by itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.models import Session
from app.accounts.permissions import Role
from app.audit.models import AuditEntry
from app.schedules.models import Firing, Schedule
from app.settings import CONFIRM_ABOVE
from app.tasks.models import Run
from tests.support import rows
from tests.support.node import RunningNode, Serve, eventually
from tests.support.server import Browse, MakePerson, Person

SCHEDULES = "/api/v1/schedules"


@pytest.fixture
async def node(serve: Serve) -> RunningNode:
    return await serve()


@pytest.fixture
async def bob(node: RunningNode, person: MakePerson) -> Person:
    return await person("bob@example.test", Role.OPERATOR)


@pytest.fixture
async def client(node: RunningNode, bob: Person, browse: Browse) -> httpx2.AsyncClient:
    device = rows.device(1, user_id=bob.id)
    async with node.db.write() as session:
        session.add(device)
    return browse(node, bob.bearer)


def asked(**fields: Any) -> dict[str, Any]:
    request = {"command": ["uptime"], "targets": {"selector": "*"}, "env": {"SECRET": "hunter2"}}
    return {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin"} | {
        "action": {"kind": "run", "request": request}
    } | fields  # fmt: skip


async def make(client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(SCHEDULES, json=asked(**fields))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.databases("sqlite")
async def test_what_is_due_is_fired_and_shown(client: httpx2.AsyncClient, node: RunningNode) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    made = await make(client, cron=None, at=soon.isoformat())
    assert (made["state"], made["what"], made["owner"], made["own"]) == ("active", "uptime", "bob@example.test", True)

    async def fired() -> bool:
        page = (await client.get(f"{SCHEDULES}/{made['id']}/firings")).json()
        return any(one["state"] == "started" for one in page["items"])

    await eventually(fired)
    [run], [firing] = await node.rows(Run), await node.rows(Firing)
    assert (run.id, run.selector, run.env) == (firing.run_id, "*", {"SECRET": "hunter2"})
    shown = (await client.get(f"{SCHEDULES}/{made['id']}")).json()
    assert (shown["state"], shown["next_due_at"], shown["last"]["run_id"]) == ("done", None, run.id)
    assert (await client.get(f"{SCHEDULES}/{made['id']}/next")).json()["items"] == []


async def test_the_next_times_are_those_of_the_zone(client: httpx2.AsyncClient) -> None:
    made = await make(client)
    shown = (await client.get(f"{SCHEDULES}/{made['id']}/next")).json()
    assert len(shown["items"]) == 10
    assert shown["words"] == "At 02:30 every day"
    assert {one["local"][11:16] for one in shown["items"]} <= {"02:30", "03:00"}
    body = {name: made[name] for name in ("cron", "timezone", "windows")}
    preview = await client.post(f"{SCHEDULES}/preview", params={"count": 3}, json=body)
    assert preview.json()["items"] == shown["items"][:3]
    start = datetime.now(UTC)
    span = {"start": start.isoformat(), "end": (start + timedelta(days=10)).isoformat()}
    [planned] = (await client.get(f"{SCHEDULES}/calendar", params=span)).json()["items"]
    assert planned["times"][:9] == [one["at"] for one in shown["items"]][:9]
    assert planned["more"] is False
    await make(client, name="often", cron="* * * * *")
    by_name = {one["name"]: one for one in (await client.get(f"{SCHEDULES}/calendar", params=span)).json()["items"]}
    assert (len(by_name["often"]["times"]), by_name["often"]["more"]) == (300, True)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cron": "0 0 30 2 *"}, "invalid_cron"),
        ({"cron": "61 * * * *"}, "invalid_cron"),
        ({"cron": None}, "ambiguous_time"),
        ({"at": "2030-01-01T00:00:00Z"}, "ambiguous_time"),
        ({"cron": None, "at": "2020-01-01T00:00:00Z"}, "time_over"),
        ({"timezone": "Europe/Berlim"}, "unknown_timezone"),
        ({"windows": [{"start": "05:00", "end": "06:00"}]}, "never_due"),
        ({"windows": [{"start": "05:00", "end": "05:00"}]}, "never_open"),
        ({"windows": [{"days": [], "start": "01:00", "end": "05:00"}]}, "never_open"),
        ({"windows": [{"start": "01:00", "end": "05:00"}] * 21}, "too_many_windows"),
        ({"action": {"kind": "run", "request": {"targets": {"selector": "*"}}}}, "empty_command"),
        (
            {"action": {"kind": "run", "request": {"command": ["x"], "targets": {"selector": "a=="}}}},
            "invalid_selector",
        ),
        ({"action": {"kind": "run", "request": {"command": ["x"], "targets": {}}}}, "ambiguous_targets"),
        ({"action": {"kind": "burn", "request": {}}}, "invalid_input"),
        ({"grace_s": 5}, "invalid_input"),
        ({"name": "a\nb"}, "invalid_input"),
        ({"cron": None, "at": "2030-01-01T00:00:00"}, "invalid_input"),
    ],
)
@pytest.mark.databases("sqlite")
async def test_what_cannot_be_used_is_refused_when_it_is_saved(
    client: httpx2.AsyncClient, node: RunningNode, fields: dict[str, Any], code: str
) -> None:
    answer = await client.post(SCHEDULES, json=asked(**fields))
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert await node.rows(Schedule) == []


async def test_changing_pausing_and_deleting(client: httpx2.AsyncClient, node: RunningNode) -> None:
    made = await make(client)
    assert (await client.post(SCHEDULES, json=asked())).json()["code"] == "name_taken"
    path = f"{SCHEDULES}/{made['id']}"
    changed = await client.put(path, json=asked(name="weekly", cron="@weekly"), headers={"if-match": '"1"'})
    assert (changed.status_code, changed.json()["cron"], changed.json()["rev"]) == (200, "0 0 * * 0", 2)
    late = await client.put(path, json=asked(), headers={"if-match": '"1"'})
    assert late.status_code == 412
    paused = (await client.post(f"{path}/pause")).json()
    assert (paused["state"], paused["next_due_at"]) == ("paused", None)
    assert (await client.put(path, json=asked())).json()["state"] == "paused", "a change does not resume it"
    assert (await client.post(f"{path}/resume")).json()["state"] == "active"
    started = await client.post(f"{path}/start", headers={"idempotency-key": "k"})
    assert (started.status_code, started.json()["state"], started.json()["by_hand"]) == (201, "started", True)
    again = await client.post(f"{path}/start", headers={"idempotency-key": "k"})
    assert again.json()["id"] == started.json()["id"]
    assert (await client.post(f"{path}/start")).json()["code"] == "not_over"
    assert len(await node.rows(Run)) == 1
    async with node.db.read() as session:
        said = sa.select(AuditEntry.actor, AuditEntry.via).where(AuditEntry.action == "schedule.started_by_hand")
        [(actor, via)] = await session.execute(said)
    assert (actor, via.partition(" ")[0]) == ("bob@example.test", "token")
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await node.rows(Firing), len(await node.rows(Run))) == ([], 1)


@pytest.mark.databases("sqlite")
async def test_threat_12_schedules_of_others(
    client: httpx2.AsyncClient, node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    made = await make(client)
    path = f"{SCHEDULES}/{made['id']}"
    eve = browse(node, (await person("eve@example.test", Role.OPERATOR)).bearer)
    assert (await eve.get(SCHEDULES)).json()["items"] == []
    for method, where, body in (
        ("GET", path, None),
        ("PUT", path, asked()),
        ("DELETE", path, None),
        ("POST", f"{path}/pause", None),
        ("POST", f"{path}/resume", None),
        ("POST", f"{path}/start", None),
        ("GET", f"{path}/next", None),
        ("GET", f"{path}/firings", None),
    ):
        assert (await eve.request(method, where, json=body)).status_code == 404, (method, where)
    admin = browse(node, (await person("ada@example.test", Role.ADMIN)).bearer)
    [seen] = (await admin.get(SCHEDULES)).json()["items"]
    assert (seen["own"], seen["action"]["request"]["env"]) == (False, {"SECRET": ""})
    assert (await admin.put(path, json=asked())).status_code == 403
    assert (await admin.post(f"{path}/start")).status_code == 403
    assert (await admin.post(f"{path}/pause")).json()["state"] == "paused"
    assert await node.rows(Run) == []


@pytest.mark.databases("sqlite")
async def test_a_session_proves_itself_for_a_schedule_that_reaches_far(
    client: httpx2.AsyncClient, node: RunningNode, bob: Person, browse: Browse
) -> None:
    async with node.db.write() as session:
        session.add_all([rows.device(10 + n, user_id=bob.id) for n in range(CONFIRM_ABOVE + 1)])
        await session.execute(sa.update(Session).values(proven_at=None))
    page = browse(node, bob.browser)
    answer = await page.post(SCHEDULES, json=asked())
    assert (answer.status_code, answer.json()["code"]) == (403, "proof_required")
    few = {"kind": "run", "request": {"command": ["uptime"], "targets": {"device_ids": [1]}}}
    assert (await page.post(SCHEDULES, json=asked(action=few))).status_code == 201


@pytest.mark.databases("sqlite")
async def test_a_list_has_pages(client: httpx2.AsyncClient) -> None:
    for number in range(5):
        await make(client, name=f"s{number}")
    names, cursor = [], ""
    while cursor is not None:
        page = (await client.get(SCHEDULES, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        names += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert names == [f"s{number}" for number in range(5)]
