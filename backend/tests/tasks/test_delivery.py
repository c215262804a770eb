"""Delivery over real sockets: what is queued reaches its agent, what became of it is acknowledged once it is saved."""

import json
import time
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
import sqlalchemy as sa

from app.clock import utcnow
from app.devices.models import Device
from app.realtime import dispatcher
from app.tasks import lifecycle
from app.tasks.delivery import DEVICE_MAX, DeliveryService
from app.tasks.models import Run, Task
from app.tasks.repository import lock_tasks, save_tasks
from deployx_protocol import events, limits
from deployx_protocol.states import Trust
from tests.support.machines import Machine
from tests.support.node import RunningNode, eventually
from tests.support.work import Api, Enter, WorkPeer, digest, in_state, one_task, output_of, queue, run_of, tasks_of

PROMPT_S = 5.0
"""Within what a task of a device that is there, or comes back, is with its agent."""


async def test_a_task_goes_from_queued_to_succeeded(node: RunningNode, enter: Enter) -> None:
    ids: list[str] = []

    async def wait_for(device_id: int) -> None:
        ids.extend(await queue(node.db, [device_id]))

    peer, _ = await enter(before=wait_for)
    (told,) = await peer.assigned(within_s=PROMPT_S)
    assert (told["task_id"], told["agent_id"], told["argv"]) == (ids[0], peer.machine.agent_id, ["echo", "hi"])
    assert (told["known"], told["timeout_s"]) == (False, 60.0)
    assert 3500 < told["expires_in_s"] <= 3600
    sent = await one_task(node.db, ids[0])
    assert (sent.state, sent.sent_epoch) == ("sent", (await node.device(peer.machine.agent_id)).session_epoch)

    await peer.report(ids[0], "accepted")
    await peer.report(ids[0], "running")
    assert await peer.write(ids[0], (0, 1, b"hi\n")) == 1
    assert (await run_of(node.db, ids[0])).finished_at is None
    await peer.report(
        ids[0], "succeeded", exit_code=0, duration_s=0.01, chunks=1, stdout_bytes=3, digest=digest(b"hi\n")
    )
    done = await one_task(node.db, ids[0])
    assert (done.state, done.exit_code, done.deadline_at, done.digest) == ("succeeded", 0, None, digest(b"hi\n"))
    assert (done.output_bytes, done.output_next_seq, done.output_chunks) == (3, 1, 1)
    assert done.sent_at and done.accepted_at and done.started_at and done.finished_at
    assert done.sent_at <= done.accepted_at <= done.started_at <= done.finished_at
    assert await output_of(node.db, ids[0]) == [(0, 1, b"hi\n")]
    run = await run_of(node.db, ids[0])
    assert run.finished_at
    assert run.finished_at >= done.finished_at
    assert run.rev == 5


@pytest.mark.databases("sqlite")
async def test_a_device_that_is_there_is_sent_its_task_without_a_poll(
    monkeypatch: pytest.MonkeyPatch, node: RunningNode, enter: Enter, api: Api
) -> None:
    monkeypatch.setattr(DeliveryService, "waiting_here", AsyncMock(return_value=set()))
    peer, device_id = await enter()
    run_id = await api.start([device_id], shell="uptime", command=None)
    (told,) = await peer.assigned(within_s=PROMPT_S)
    (row,) = await tasks_of(node.db, run_id)
    assert (told["task_id"], told["shell"], told["argv"]) == (row.id, "uptime", None)


@pytest.mark.databases("sqlite")
async def test_what_no_hint_tells_is_found_by_the_poll(node: RunningNode, enter: Enter) -> None:
    peer, device_id = await enter()
    (task_id,) = await queue(node.db, [device_id])
    (told,) = await peer.assigned(within_s=PROMPT_S)
    assert told["task_id"] == task_id


async def again(enter: Enter, peer: WorkPeer) -> WorkPeer:
    """The same agent after its connection was lost."""
    await peer.abort()
    return (await enter(peer.machine))[0]


async def test_after_a_lost_connection_it_is_sent_again_until_it_is_started(node: RunningNode, enter: Enter) -> None:
    peer, device_id = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (first,) = await peer.assigned()
    peer = await again(enter, peer)
    (second,) = await peer.assigned()
    assert (second["task_id"], second["known"]) == (first["task_id"], False)
    await peer.report(first["task_id"], "accepted")
    peer = await again(enter, peer)
    (third,) = await peer.assigned()
    assert (third["task_id"], third["known"]) == (first["task_id"], True)
    await peer.report(first["task_id"], "running")
    peer = await again(enter, peer)
    (other,) = await queue(node.db, [device_id])
    (told,) = await peer.assigned(within_s=PROMPT_S)
    assert told["task_id"] == other  # and nothing of the one that runs
    assert [name for name, _ in peer.heard].count(events.TASK_ASSIGNED) == 1
    await peer.report(first["task_id"], "interrupted", code="agent_killed")
    assert (await one_task(node.db, first["task_id"])).state == "interrupted"


@pytest.mark.usefixtures("short_receipts")
async def test_without_a_receipt_it_is_sent_again_on_the_same_connection(node: RunningNode, enter: Enter) -> None:
    peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (first,) = await peer.assigned()
    (second,) = await peer.assigned(within_s=10)
    assert second == {**first, "expires_in_s": second["expires_in_s"]}
    began = time.monotonic()
    await peer.assigned(within_s=10)
    assert time.monotonic() - began > 1.5 * dispatcher.RECEIPT_S  # twice as long: it may be the server that is late
    await peer.report(first["task_id"], "accepted")
    heard = len(peer.heard)
    (third,) = await queue(node.db, [(await node.device(peer.machine.agent_id)).id])
    await peer.payload(events.TASK_ASSIGNED, where=lambda told: told["tasks"][0]["task_id"] == third)
    since = [payload for name, payload in peer.heard[heard:] if name == events.TASK_ASSIGNED]
    assert all(task["task_id"] == third for payload in since for task in payload["tasks"])


@pytest.mark.parametrize("trust", [Trust.PENDING, Trust.QUARANTINED, Trust.UNVERIFIED])
async def test_threat_10_a_device_that_is_not_trusted_is_sent_nothing(
    node: RunningNode, enter: Enter, trust: Trust
) -> None:
    async def before(device_id: int) -> None:
        await queue(node.db, [device_id])
        async with node.db.write() as session:
            await session.execute(sa.update(Device).where(Device.id == device_id).values(trust=trust))

    peer, device_id = await enter(before=before)
    (trusted_id,) = await queue(node.db, [(other := await enter())[1]])
    await other[0].assigned(within_s=PROMPT_S)  # by then the poll has seen both
    assert events.TASK_ASSIGNED not in [name for name, _ in peer.heard]
    assert (await one_task(node.db, trusted_id)).state == "sent"
    async with node.db.read() as session:
        states = set(await session.scalars(sa.text(f"SELECT state FROM tasks WHERE device_id = {device_id}")))
    assert states == {"queued"}


@pytest.mark.databases("sqlite")
async def test_of_a_run_no_more_are_in_flight_than_it_allows(node: RunningNode, enter: Enter, api: Api) -> None:
    entered = [await enter() for _ in range(3)]
    run_id = await api.start([device_id for _, device_id in entered], max_parallel=1)
    for _ in range(3):
        rows = await eventually(lambda: _flying(node, run_id), what="a task in flight")
        assert len(rows) == 1
        peer = next(peer for peer, device_id in entered if device_id == rows[0].device_id)
        (told,) = await peer.assigned(within_s=PROMPT_S)
        assert told["task_id"] == rows[0].id
        assert {row.state for row in await tasks_of(node.db, run_id)} <= {"queued", "sent", "succeeded"}
        await peer.report(rows[0].id, "succeeded", exit_code=0)
    assert {row.state for row in await tasks_of(node.db, run_id)} == {"succeeded"}
    assert (await run_of(node.db, rows[0].id)).finished_at


async def _flying(node: RunningNode, run_id: str) -> Any:
    return [row for row in await tasks_of(node.db, run_id) if row.state == "sent"]


async def test_a_backlog_comes_in_order_in_messages_that_fit_and_never_all_at_once(
    node: RunningNode, enter: Enter
) -> None:
    ids: list[str] = []

    async def before(device_id: int) -> None:
        for _ in range(DEVICE_MAX + 2):
            ids.extend(await queue(node.db, [device_id], argv=["echo", "x" * 15_000]))

    peer, _ = await enter(before=before)
    told: list[dict[str, Any]] = []
    while len(told) < DEVICE_MAX:
        batch = await peer.assigned()
        assert len(json.dumps(["task_assigned", {"tasks": batch}])) < limits.AGENT_MESSAGE_MAX_BYTES
        told += batch
    assert [task["task_id"] for task in told] == ids[:DEVICE_MAX]
    await peer.report(ids[0], "accepted")
    assert (await one_task(node.db, ids[DEVICE_MAX])).state == "queued"
    await peer.report(ids[0], "failed", exit_code=1)
    (following,) = await peer.assigned(within_s=PROMPT_S)
    assert following["task_id"] == ids[DEVICE_MAX]


@pytest.mark.databases("sqlite")
async def test_a_task_that_fits_no_message_is_called_off_with_a_sentence(node: RunningNode, enter: Enter) -> None:
    ids: list[str] = []

    async def before(device_id: int) -> None:
        ids.extend(await queue(node.db, [device_id], argv=["\x01" * 12_000]))  # JSON writes each as six bytes

    await enter(before=before)
    row = await in_state(node.db, ids[0], "cancelled")
    assert "too large" in row.message


async def test_a_queued_task_is_called_off_at_once_and_never_sent(node: RunningNode, enter: Enter, api: Api) -> None:
    peer, device_id = await enter()
    machine = peer.machine
    await peer.close()
    await node.status(machine.agent_id, "offline")
    run_id = await api.start([device_id])
    (row,) = await tasks_of(node.db, run_id)
    await api.cancel(row.id)
    row = await one_task(node.db, row.id)
    assert (row.state, row.deadline_at, row.output_chunks) == ("cancelled", None, 0)
    assert (await run_of(node.db, row.id)).finished_at
    peer, _ = await enter(machine)
    (other,) = await queue(node.db, [device_id])
    (told,) = await peer.assigned(within_s=PROMPT_S)
    assert told["task_id"] == other


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("state", ["sent", "accepted", "running"])
async def test_what_an_agent_has_is_called_off_by_the_agent(
    node: RunningNode, enter: Enter, api: Api, state: str
) -> None:
    peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (told,) = await peer.assigned()
    task_id = told["task_id"]
    if state != "sent":
        await peer.report(task_id, state)
    await api.cancel(task_id)
    assert (await peer.payload(events.TASK_CANCEL, within_s=PROMPT_S))["task_ids"] == [task_id]
    row = await one_task(node.db, task_id)
    assert row.state == state
    assert row.cancel_requested_at
    peer = await again(enter, peer)  # it may not have heard
    assert (await peer.payload(events.TASK_CANCEL, within_s=PROMPT_S))["task_ids"] == [task_id]
    assert events.TASK_ASSIGNED not in [name for name, _ in peer.heard]
    await peer.report(task_id, "cancelled")
    assert (await one_task(node.db, task_id)).state == "cancelled"
    assert (await run_of(node.db, task_id)).finished_at


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("state", ["sent", "accepted", "running"])
async def test_what_is_withdrawn_is_ended_by_its_agent_unless_it_has_started(
    node: RunningNode, enter: Enter, state: str
) -> None:
    peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (told,) = await peer.assigned()
    task_id = told["task_id"]
    if state == "accepted":
        await peer.report(task_id, state)
    async with node.db.write() as session:
        (task,) = (await lock_tasks(session, [task_id])).values()
        assert lifecycle.withdraw(task, utcnow())
        assert not lifecycle.withdraw(task, utcnow())
        await save_tasks(session, [task])
    peer = await again(enter, peer)
    assert (await peer.payload(events.TASK_CANCEL, within_s=PROMPT_S))["unstarted"] == [task_id]
    assert events.TASK_ASSIGNED not in [name for name, _ in peer.heard]
    if state == "running":  # it had, and nobody knew
        await peer.report(task_id, state)
        row = await one_task(node.db, task_id)
        assert (row.state, row.code, row.cancel_requested_at) == ("running", "", None)
        return
    await peer.report(task_id, "cancelled", code="withdrawn")
    row = await one_task(node.db, task_id)
    assert (row.state, row.code, row.deadline_at) == ("cancelled", "withdrawn", None)


@pytest.mark.databases("sqlite")
@pytest.mark.usefixtures("short_receipts")
async def test_a_cancellation_that_ends_nothing_is_repeated(node: RunningNode, enter: Enter, api: Api) -> None:
    peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (told,) = await peer.assigned()
    await peer.report(told["task_id"], "running")
    await api.cancel(told["task_id"])
    for _ in range(2):
        assert (await peer.payload(events.TASK_CANCEL, within_s=10))["task_ids"] == [told["task_id"]]


async def test_a_machine_that_was_accepted_is_sent_what_waits(node: RunningNode, api: Api) -> None:
    machine = Machine()
    peer = WorkPeer(node.url, machine)
    await peer.start()
    device = await node.device(machine.agent_id)
    (task_id,) = await queue(node.db, [device.id])
    await api.accept(device.id)
    await peer.payload(events.REGISTRATION_REQUIRED)
    name, _ = await peer.register()
    assert name == events.REGISTRATION_SUCCESS
    (told,) = await peer.assigned(within_s=PROMPT_S)
    assert told["task_id"] == task_id
    await peer.close()


async def test_what_was_given_up_and_comes_back_unstarted_is_told_that_its_time_is_over(
    node: RunningNode, enter: Enter
) -> None:
    peer, device_id = await enter()
    [task_id] = await queue(node.db, [device_id])
    await peer.assigned()
    await peer.report(task_id, "accepted")
    over = utcnow() - timedelta(seconds=500)
    async with node.db.write() as session:
        await session.execute(sa.update(Run).values(expires_at=over))
        await session.execute(sa.update(Task).values(state="lost", code="silent", deadline_at=None, finished_at=over))
    await peer.report(task_id, "accepted")
    [told] = await peer.assigned()
    assert (told["task_id"], told["known"], told["expires_in_s"]) == (task_id, True, 0)
    await peer.report(task_id, "expired")
    assert (await one_task(node.db, task_id)).state == "expired"
