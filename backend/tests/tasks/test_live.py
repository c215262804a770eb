"""What dashboards hear of runs and tasks: their own, as it happens, and nobody else's."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.models import User
from app.accounts.permissions import Role
from app.accounts.service import AccountService
from app.devices.models import Device
from deployx_protocol import events
from tests.support import rows
from tests.support.node import RunningNode, eventually
from tests.support.peers import DashboardPeer, Peer, Watch
from tests.support.server import Browse, MakePerson, Person
from tests.support.work import Enter

RUNS = "/api/v1/runs"


async def give(node: RunningNode, device_id: int, owner: Person) -> None:
    async with node.db.write() as session:
        await session.execute(sa.update(Device).where(Device.id == device_id).values(user_id=owner.id))


async def start(node: RunningNode, browse: Browse, owner: Person, device_ids: list[int]) -> dict[str, Any]:
    body = {"command": ["uptime"], "targets": {"device_ids": device_ids}}
    answer = await browse(node, owner.bearer).post(RUNS, json=body)
    assert answer.status_code == 202, answer.text
    run: dict[str, Any] = answer.json()
    return run


def of(run_id: str) -> Any:
    """Whether a `runs_changed` speaks of this run."""
    return lambda told: any(run["id"] == run_id for run in told["runs"])


def heard(peer: Peer, *names: str) -> list[Any]:
    return [payload for name, payload in peer.heard if name in names]


async def settled(peer: DashboardPeer) -> None:
    """Everything that was sent before has arrived: one connection keeps its order."""
    await peer.call(events.UNWATCH_RUN, {"run_id": "00000000-0000-0000-0000-000000000000"})


async def test_threat_12_two_users_hear_of_their_own_runs_and_tasks_only(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson, watch: Watch
) -> None:
    ada = await person()
    bob = await person("bob@example.test", Role.OPERATOR)
    eve = await person("eve@example.test", Role.OPERATOR)
    peer, device_id = await enter()
    await give(node, device_id, bob)
    await_ada, await_bob, await_eve = [await watch(node, who, batch=True) for who in (ada, bob, eve)]
    run = await start(node, browse, bob, [device_id])

    watching = {"run_id": run["id"]}
    for allowed in (await_ada, await_bob):
        assert await allowed.call(events.WATCH_RUN, watching) == {"ok": True, "data": {}}
    refused = await await_eve.call(events.WATCH_RUN, watching)
    assert (refused["ok"], refused["error"]["code"]) == (False, "not_found")

    (told,) = await peer.assigned()
    task_id = told["task_id"]
    await peer.report(task_id, "accepted")
    await peer.report(task_id, "running")
    await peer.write(task_id, (0, 1, b"hi\n"))
    await peer.report(task_id, "succeeded", exit_code=0, duration_s=0.1, chunks=1, stdout_bytes=3)
    for allowed in (await_ada, await_bob):
        done = await allowed.payload(
            events.TASKS_CHANGED, where=lambda told: any(task["state"] == "succeeded" for task in told["tasks"])
        )
        [task] = done["tasks"]
        assert (done["run_id"], task["id"], task["output_complete"], task["reason"]) == (
            run["id"],
            task_id,
            True,
            "exit code 0",
        )
        over = await allowed.payload(
            events.RUNS_CHANGED, where=lambda told: any(run["counts"] == {"succeeded": 1} for run in told["runs"])
        )
        assert over["runs"][0]["finished_at"]
        revs = [(one["rev"], one["counts"]) for told in heard(allowed, events.RUNS_CHANGED) for one in told["runs"]]
        assert revs == sorted(revs, key=lambda one: one[0])
    await settled(await_eve)
    assert heard(await_eve, events.RUNS_CHANGED, events.TASKS_CHANGED) == []


@pytest.mark.databases("sqlite")
async def test_who_does_not_watch_any_more_hears_no_more_of_tasks(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson, watch: Watch
) -> None:
    ada = await person()
    peer, device_id = await enter()
    dashboard, other = await watch(node, ada, batch=True), await watch(node, ada, batch=True)
    run = await start(node, browse, ada, [device_id])
    for one in (dashboard, other):
        await one.call(events.WATCH_RUN, {"run_id": run["id"]})
    (told,) = await peer.assigned()
    await peer.report(told["task_id"], "accepted")
    await dashboard.payload(events.TASKS_CHANGED, where=lambda told: told["tasks"][0]["state"] == "accepted")
    assert (await dashboard.call(events.UNWATCH_RUN, {"run_id": run["id"]}))["ok"] is True
    before = len(heard(dashboard, events.TASKS_CHANGED))
    await peer.report(told["task_id"], "running")
    await other.payload(events.TASKS_CHANGED, where=lambda told: told["tasks"][0]["state"] == "running")
    await settled(dashboard)
    assert len(heard(dashboard, events.TASKS_CHANGED)) == before
    assert (await dashboard.call(events.UNWATCH_RUN, {"run_id": run["id"]}))["ok"] is True


@pytest.mark.databases("sqlite")
async def test_a_watched_task_says_so_when_its_device_goes_and_comes(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson, watch: Watch
) -> None:
    ada = await person()
    peer, device_id = await enter()
    await peer.close()
    await node.status(peer.machine.agent_id, "offline")
    run = await start(node, browse, ada, [device_id])
    dashboard = await watch(node, ada, batch=True)
    await dashboard.call(events.WATCH_RUN, {"run_id": run["id"]})
    [task] = (await browse(node, ada.bearer).get(f"{RUNS}/{run['id']}/tasks")).json()["items"]
    assert task["reason"].startswith("offline since 2")
    again, _ = await enter(peer.machine)
    (told,) = await again.assigned()
    await again.report(told["task_id"], "accepted")
    await dashboard.payload(
        events.TASKS_CHANGED, where=lambda told: told["tasks"][0]["reason"].endswith("waits for its turn")
    )
    await again.close()
    gone = await dashboard.payload(
        events.TASKS_CHANGED, where=lambda told: "offline since" in told["tasks"][0]["reason"]
    )
    assert gone["tasks"][0]["state"] == "accepted"


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_a_malformed_watch_is_refused_and_a_dashboard_watches_a_few_runs(
    node: RunningNode, browse: Browse, person: MakePerson, watch: Watch
) -> None:
    ada = await person()
    device = rows.device(1)
    async with node.db.write() as session:
        session.add(device)
    dashboard = await watch(node, ada)
    malformed: list[Any] = [
        {},
        [],
        None,
        "x",
        {"run_id": 5},
        {"run_id": "x"},
        {"run_id": "A" * 36},
        {"run_id": "\x00" * 36},
    ]
    for payload in malformed:
        for event in (events.WATCH_RUN, events.UNWATCH_RUN):
            answer = await dashboard.call(event, payload)
            assert (answer["ok"], answer["error"]["code"]) == (False, "invalid_payload"), payload
    unknown = await dashboard.call(events.WATCH_RUN, {"run_id": "00000000-0000-0000-0000-000000000000"})
    assert unknown["error"]["code"] == "not_found"
    made = [await start(node, browse, ada, [device.id]) for _ in range(21)]
    answers = [await dashboard.call(events.WATCH_RUN, {"run_id": run["id"]}) for run in made]
    assert [answer["ok"] for answer in answers] == [True] * 20 + [False]
    assert answers[-1]["error"]["code"] == "too_many"
    assert (await dashboard.call(events.WATCH_RUN, {"run_id": made[0]["id"]}))["ok"] is True
    await dashboard.call(events.UNWATCH_RUN, {"run_id": made[0]["id"]})
    assert (await dashboard.call(events.WATCH_RUN, {"run_id": made[20]["id"]}))["ok"] is True


@pytest.mark.databases("sqlite")
async def test_threat_15_who_is_signed_out_hears_of_no_task_any_more(
    node: RunningNode,
    enter: Enter,
    browse: Browse,
    person: MakePerson,
    watch: Watch,
    accounts: AccountService,
) -> None:
    ada = await person()
    bob = await person("bob@example.test", Role.OPERATOR)
    peer, device_id = await enter()
    await give(node, device_id, bob)
    run = await start(node, browse, bob, [device_id])
    dashboards = [await watch(node, who, batch=True) for who in (ada, bob)]
    for dashboard in dashboards:
        await dashboard.call(events.WATCH_RUN, {"run_id": run["id"]})
    (told,) = await peer.assigned()
    await accounts.disable(bob.email)
    assert (await dashboards[1].payload(events.SESSION_ENDED))["code"] == "signed_out"
    await dashboards[1].ended()
    before = len(dashboards[1].heard)
    await peer.report(told["task_id"], "accepted")
    await dashboards[0].payload(events.TASKS_CHANGED, where=lambda told: told["tasks"][0]["state"] == "accepted")
    assert len(dashboards[1].heard) == before


@pytest.mark.databases("sqlite")
async def test_threat_15_who_is_no_administrator_any_more_is_cut(
    node: RunningNode, browse: Browse, person: MakePerson, watch: Watch
) -> None:
    ada, bob = await person(), await person("bob@example.test", Role.OPERATOR)
    device = rows.device(1, user_id=bob.id)
    async with node.db.write() as session:
        session.add(device)
    run = await start(node, browse, bob, [device.id])
    dashboard = await watch(node, ada, batch=True)
    await dashboard.call(events.WATCH_RUN, {"run_id": run["id"]})
    async with node.db.write() as session:
        await session.execute(sa.update(User).where(User.id == ada.id).values(role=Role.OPERATOR))
    assert (await dashboard.payload(events.SESSION_ENDED))["code"] == "role_changed"
    await dashboard.ended()
    again = await watch(node, ada, batch=True)
    assert (await again.call(events.WATCH_RUN, {"run_id": run["id"]}))["error"]["code"] == "not_found"


async def test_a_thousand_tasks_that_change_at_once_are_all_told_in_pieces(
    node: RunningNode, browse: Browse, person: MakePerson, watch: Watch
) -> None:
    ada = await person()
    made = [rows.device(n) for n in range(1_500)]
    async with node.db.write() as session:
        session.add_all(made)
    client = browse(node, ada.bearer)
    run = (await client.post(RUNS, json={"shell": "true", "targets": {"selector": "*"}})).json()
    dashboard = await watch(node, ada, batch=True)
    await dashboard.call(events.WATCH_RUN, {"run_id": run["id"]})
    cancelled = await client.post(f"{RUNS}/{run['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["counts"]) == (202, {"cancelled": 1_500})

    def told() -> bool:
        pieces = heard(dashboard, events.TASKS_CHANGED)
        assert all(len(piece["tasks"]) <= 250 for piece in pieces)
        return len({task["id"] for piece in pieces for task in piece["tasks"]}) == 1_500

    await eventually(told, what="every task to be told")


@pytest.mark.databases("sqlite")
async def test_an_agent_cannot_watch(node: RunningNode, enter: Enter) -> None:
    peer, _ = await enter()
    answer = await peer.call(events.WATCH_RUN, {"run_id": "00000000-0000-0000-0000-000000000000"})
    assert answer["error"]["code"] == "unknown_event"
