"""What agents report over real sockets: repeats, strangers, other devices' tasks, tasks that were given up."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.audit.actions import Action
from app.audit.models import AuditEntry
from app.clock import utcnow
from app.tasks.models import Task
from deployx_protocol import events
from deployx_protocol.task_messages import OutputChunk
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, RunningNode
from tests.support.work import Enter, WorkPeer, digest, in_state, one_task, output_of, queue, run_of

NOBODYS = "01890000-0000-7000-8000-000000000000"


async def running(node: RunningNode, enter: Enter) -> tuple[WorkPeer, str, int]:
    """An agent that runs a task; both ids."""
    peer, device_id = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (told,) = await peer.assigned()
    await peer.report(told["task_id"], "running")
    return peer, told["task_id"], device_id


async def acknowledged(peer: WorkPeer, updates: list[dict[str, Any]]) -> dict[str, Any]:
    """Send these reports; the acknowledgement that follows."""
    await peer.call(events.TASK_UPDATES, {"updates": updates})
    told: dict[str, Any] = await peer.payload(events.TASK_ACKNOWLEDGED)
    return told


@pytest.mark.databases("sqlite")
async def test_a_repeated_report_is_acknowledged_and_changes_nothing(node: RunningNode, enter: Enter) -> None:
    peer, task_id, _ = await running(node, enter)
    end = {"exit_code": 3, "duration_s": 1.5, "digest": digest(b"")}
    await peer.report(task_id, "failed", **end)
    done = await one_task(node.db, task_id)
    rev = (await run_of(node.db, task_id)).rev
    for state in ("failed", "running", "accepted", "succeeded"):
        await peer.report(task_id, state, exit_code=0)
    row = await one_task(node.db, task_id)
    assert (row.state, row.exit_code, row.rev, row.finished_at) == ("failed", 3, done.rev, done.finished_at)
    assert (await run_of(node.db, task_id)).rev == rev


@pytest.mark.databases("sqlite")
async def test_several_reports_of_one_task_come_in_one_message(node: RunningNode, enter: Enter) -> None:
    peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (task,) = await peer.assigned()
    states = ("accepted", "running", "succeeded")
    updates = [{"task_id": task["task_id"], "state": state, "ago_s": 0.5} for state in states]
    told = await acknowledged(peer, updates)
    assert [saved["state"] for saved in told["updates"]] == list(states)
    row = await one_task(node.db, task["task_id"])
    assert row.state == "succeeded"
    assert row.started_at


@pytest.mark.databases("sqlite")
async def test_little_output_comes_with_the_report_of_the_end(node: RunningNode, enter: Enter) -> None:
    peer, task_id, _ = await running(node, enter)
    output = [OutputChunk.of(0, 1, b"hi\n").to_json(), OutputChunk.of(1, 2, b"\xff").to_json()]
    end = {"task_id": task_id, "state": "succeeded", "chunks": 2, "stdout_bytes": 3, "stderr_bytes": 1}
    told = await acknowledged(peer, [{**end, "output": output}])
    assert told["updates"] == [{"task_id": task_id, "state": "succeeded"}]
    assert told["output"] == [{"task_id": task_id, "next_seq": 2}]
    assert await output_of(node.db, task_id) == [(0, 1, b"hi\n"), (1, 2, b"\xff")]
    again = await acknowledged(peer, [{**end, "output": output}])
    assert again["output"] == told["output"]
    assert len(await output_of(node.db, task_id)) == 2
    strangers = await acknowledged(peer, [{"task_id": NOBODYS, "state": "succeeded", "output": output}])
    assert (strangers["unknown"], strangers["output"]) == ([NOBODYS], [])


@pytest.mark.databases("sqlite")
async def test_tasks_that_nobody_knows_are_said_to_be_unknown(node: RunningNode, enter: Enter) -> None:
    peer, task_id, _ = await running(node, enter)
    updates = [{"task_id": NOBODYS, "state": "succeeded"}, {"task_id": task_id, "state": "succeeded"}]
    told = await acknowledged(peer, updates)
    assert told["unknown"] == [NOBODYS]
    assert told["updates"] == [{"task_id": task_id, "state": "succeeded"}]
    await peer.emit(events.TASK_OUTPUT, {"task_id": NOBODYS, "chunks": []})
    assert (await peer.payload(events.TASK_ACKNOWLEDGED))["unknown"] == [NOBODYS]


async def refusals(node: RunningNode) -> list[tuple[Any, ...]]:
    """What the audit record says of refused requests: who, from where, about what."""
    columns = (AuditEntry.actor, AuditEntry.actor_id, AuditEntry.source_ip, AuditEntry.object_id)
    query = sa.select(*columns).where(AuditEntry.action == Action.REQUEST_REFUSED, AuditEntry.actor_kind == "agent")
    async with node.db.read() as session:
        return [tuple(row) for row in await session.execute(query)]


async def test_threat_13_an_agent_cannot_speak_of_another_devices_task(
    lines: Lines, node: RunningNode, enter: Enter
) -> None:
    peer, task_id, _ = await running(node, enter)
    thief, thief_id = await enter()
    before = await one_task(node.db, task_id)
    told = await acknowledged(thief, [{"task_id": task_id, "state": "failed", "exit_code": 1}])
    assert (told["updates"], told["unknown"]) == ([], [task_id])
    await thief.emit(events.TASK_OUTPUT, {"task_id": task_id, "chunks": [{"seq": 0, "stream": 1, "data": "aGk="}]})
    assert (await thief.payload(events.TASK_ACKNOWLEDGED))["output"] == []
    after = await one_task(node.db, task_id)
    assert (after.state, after.rev, after.output_next_seq) == ("running", before.rev, 0)
    assert any("task.refused" in line and task_id in line for line in lines())
    assert await refusals(node) == [(thief.machine.agent_id, thief_id, "127.0.0.1", task_id)]
    await peer.report(task_id, "succeeded", exit_code=0)


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_nothing_is_taken_before_a_registration(node: RunningNode, enter: Enter, agent: MakeAgent) -> None:
    _, task_id, _ = await running(node, enter)
    stranger = agent(node, Machine())
    await stranger.connect()
    for event, payload in (
        (events.TASK_UPDATES, {"updates": [{"task_id": task_id, "state": "failed"}]}),
        (events.TASK_OUTPUT, {"task_id": task_id, "chunks": []}),
    ):
        assert (await stranger.call(event, payload))["error"]["code"] == "not_registered"
    assert (await one_task(node.db, task_id)).state == "running"


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_malformed_reports_are_refused_with_a_sentence(node: RunningNode, enter: Enter) -> None:
    peer, task_id, _ = await running(node, enter)
    for payload in (
        {"updates": [{"task_id": task_id, "state": "queued"}]},
        {"updates": [{"task_id": "x", "state": "failed"}]},
        {"updates": [{"task_id": task_id, "state": "failed", "ago_s": -1}]},
        {"updates": [{"task_id": task_id, "state": "failed", "exit_code": 2**40}]},
        {"updates": [{"task_id": task_id, "state": "failed", "message": "a\x00b"}]},
        {"updates": "all"},
    ):
        answer = await peer.call(events.TASK_UPDATES, payload)
        assert answer["error"]["code"] == "invalid_payload"
        assert answer["error"]["message"].endswith(".")
    for chunks in ([{"seq": 0, "stream": 3, "data": ""}], [{"seq": 0, "stream": 1, "data": "%"}], [{"seq": -1}]):
        answer = await peer.call(events.TASK_OUTPUT, {"task_id": task_id, "chunks": chunks})
        assert answer["error"]["code"] == "invalid_payload"
    assert (await one_task(node.db, task_id)).state == "running"


async def test_a_result_corrects_what_was_given_up_and_its_run_is_open_again(node: RunningNode, enter: Enter) -> None:
    peer, task_id, _ = await running(node, enter)
    async with node.db.write() as session:  # its time is over; the reaper of the running server sees it
        past = utcnow() - timedelta(seconds=1)
        await session.execute(sa.update(Task).where(Task.id == task_id).values(deadline_at=past))
    lost = await in_state(node.db, task_id, "lost")
    assert lost.code == "silent"
    assert (await run_of(node.db, task_id)).finished_at
    await peer.report(task_id, "running")
    row = await one_task(node.db, task_id)
    assert (row.state, row.code, row.finished_at) == ("running", "", None)
    assert row.deadline_at
    assert (await run_of(node.db, task_id)).finished_at is None
    await peer.report(task_id, "succeeded", exit_code=0)
    assert (await run_of(node.db, task_id)).finished_at


async def test_a_report_of_what_is_still_queued_is_believed(node: RunningNode, enter: Enter) -> None:
    """The server's database was put back to a time before it sent the task; its agent has done it."""
    peer, task_id, _ = await running(node, enter)
    async with node.db.write() as session:
        before = {"state": "queued", "sent_at": None, "accepted_at": None, "started_at": None}
        await session.execute(sa.update(Task).where(Task.id == task_id).values(before))
    await peer.report(task_id, "succeeded", exit_code=0)
    row = await one_task(node.db, task_id)
    assert (row.state, row.deadline_at) == ("succeeded", None)
    assert row.sent_at


async def test_a_deleted_devices_reports_are_nobodys(node: RunningNode, enter: Enter) -> None:
    peer, task_id, device_id = await running(node, enter)
    async with node.db.write() as session:
        await session.execute(sa.text(f"UPDATE tasks SET device_id = NULL WHERE device_id = {device_id}"))
    told = await acknowledged(peer, [{"task_id": task_id, "state": "succeeded"}])
    assert told["unknown"] == [task_id]
    assert (await one_task(node.db, task_id)).state == "running"


@pytest.mark.databases("sqlite")
async def test_what_has_no_room_is_not_acknowledged_and_said_so(
    monkeypatch: Any, node: RunningNode, enter: Enter
) -> None:
    peer, task_id, _ = await running(node, enter)
    monkeypatch.setattr("app.realtime.inbox.DEVICE_MAX_BYTES", 100)
    monkeypatch.setattr("app.realtime.inbox.FOR_REPORTS_BYTES", 0)
    answer = await peer.say(task_id, "succeeded")
    assert answer["error"]["code"] == "busy"
    monkeypatch.undo()
    await peer.report(task_id, "succeeded", exit_code=0)
    acks = [payload for name, payload in peer.heard if name == events.TASK_ACKNOWLEDGED]
    saved = [one for ack in acks for one in ack["updates"] if one["state"] == "succeeded"]
    assert len(saved) == 1
