"""Servers that end between any two steps, and a database that is away: nothing is lost, nothing is said too early."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.migrate import migrate
from app.realtime.dispatcher import Dispatcher
from app.realtime.tasks import TaskGateway
from app.settings import Settings
from app.tasks import lifecycle
from app.tasks.delivery import DeliveryService
from app.tasks.reports import ReportService
from deployx_protocol import events
from deployx_protocol.task_messages import OutputChunk
from tests.support.machines import Machine
from tests.support.node import RunningNode, Serve, eventually, serving
from tests.support.postgres import PostgresServer, throwaway
from tests.support.work import Enter, WorkPeer, in_state, one_task, output_of, queue, trust

CHUNK = (0, 1, b"hi\n")


def dies_after(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, first: bool) -> asyncio.Event:
    """From now on nothing comes back from ``owner.name``, as if the process had been killed there.

    ``first``: killed before it did anything; otherwise after it is done, before anybody hears of it.
    """
    method: Callable[..., Any] = getattr(owner, name)
    reached = asyncio.Event()

    async def never(*arguments: Any, **named: Any) -> Any:
        if not first:
            await method(*arguments, **named)
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(owner, name, never)
    return reached


@pytest.mark.parametrize(
    ("owner", "name", "first"),
    [
        (DeliveryService, "deliver_many", True),  # before the claim is committed
        (DeliveryService, "deliver_many", False),  # after the claim, before anything is sent
        (Dispatcher, "_send", True),
    ],
)
async def test_a_server_that_dies_around_a_claim_loses_no_task(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, node: RunningNode, enter: Enter, owner: type, name: str, first: bool
) -> None:
    with monkeypatch.context() as patch:
        reached = dies_after(patch, owner, name, first=first)
        peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
        await asyncio.wait_for(reached.wait(), 10)
        assert events.TASK_ASSIGNED not in [name for name, _ in peer.heard]
    await peer.abort()
    successor = await serve(enrollment="approval")
    peer, _ = await enter(peer.machine, at=successor)
    (told,) = await peer.assigned()
    assert told["known"] is False
    await peer.report(told["task_id"], "succeeded", exit_code=0)
    assert (await one_task(successor.db, told["task_id"])).state == "succeeded"
    assert [name for name, _ in peer.heard].count(events.TASK_ASSIGNED) == 1


@pytest.mark.parametrize(
    ("owner", "name", "first", "state"),
    [
        (ReportService, "save_many", True, "sent"),  # before the commit
        (ReportService, "save_many", False, "succeeded"),  # after the commit, before the acknowledgement
        (TaskGateway, "_tell", True, "succeeded"),
    ],
)
async def test_fault_03_what_was_not_acknowledged_is_said_again_and_saved_once(
    monkeypatch: pytest.MonkeyPatch,
    serve: Serve,
    node: RunningNode,
    enter: Enter,
    owner: type,
    name: str,
    first: bool,
    state: str,
) -> None:
    with monkeypatch.context() as patch:
        reached = dies_after(patch, owner, name, first=first)
        dying = await serve(enrollment="approval")  # the gateway binds what it calls when it is made
        peer, _ = await enter(at=dying, before=lambda device_id: queue(node.db, [device_id]))
        (told,) = await peer.assigned()
        task_id = told["task_id"]
        await peer.say(task_id, "succeeded", exit_code=0, chunks=1)
        await asyncio.wait_for(reached.wait(), 10)
        assert (await one_task(node.db, task_id)).state == state
        assert events.TASK_ACKNOWLEDGED not in [name for name, _ in peer.heard]
    await peer.abort()
    successor = await serve(enrollment="approval")
    peer, _ = await enter(peer.machine, at=successor)
    await peer.report(task_id, "succeeded", exit_code=0, chunks=1)
    assert await peer.write(task_id, CHUNK) == 1
    assert await peer.write(task_id, CHUNK) == 1
    row = await one_task(successor.db, task_id)
    assert (row.state, row.exit_code, row.output_bytes) == ("succeeded", 0, 3)
    assert await output_of(successor.db, task_id) == [CHUNK]


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that no other test uses."""
    with throwaway() as server:
        yield server


async def _trusted(node: RunningNode, count: int) -> list[WorkPeer]:
    peers = [WorkPeer(node.url, Machine()) for _ in range(count)]
    for peer in peers:
        await peer.start()
        await trust(node.db, peer.machine.agent_id)
    return peers


async def test_fault_04_results_wait_for_the_database_and_none_is_acknowledged_without_it(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = own_postgres.create_database()
    await migrate(url)
    settings = Settings(data_dir=tmp_path, database_url=url, enrollment="approval")
    async with serving(settings) as node:
        peers = await _trusted(node, 5)
        ids = [device.id for device in await node.devices()]
        tasks = await queue(node.db, ids)
        told = [(await peer.assigned())[0]["task_id"] for peer in peers]
        assert sorted(told) == sorted(tasks)
        for peer, task_id in zip(peers, told, strict=True):
            await peer.report(task_id, "running")
        await asyncio.to_thread(own_postgres.stop, immediate=True)
        for peer, task_id in zip(peers, told, strict=True):
            for _ in range(3):  # it hears nothing, so it says it again
                await peer.say(task_id, "succeeded", exit_code=0, chunks=1)
            await peer.emit(events.TASK_OUTPUT, {"task_id": task_id, "chunks": [_json(CHUNK)]})
        assert all(peer.open for peer in peers)
        assert not [ack for peer in peers for ack in _acknowledged(peer, "succeeded")]
        own_postgres.start()
        for peer, task_id in zip(peers, told, strict=True):
            await in_state(node.db, task_id, "succeeded")
            await eventually(lambda peer=peer: _acknowledged(peer, "succeeded"), what="an acknowledgement")
            await peer.payload(events.TASK_ACKNOWLEDGED, where=lambda told: bool(told["output"]))
            assert await output_of(node.db, task_id) == [CHUNK]
        for peer in peers:
            await peer.close()
    own_postgres.drop_database(url)


def _acknowledged(peer: WorkPeer, state: str) -> Sequence[Any]:
    told = [payload for name, payload in peer.heard if name == events.TASK_ACKNOWLEDGED]
    return [saved for ack in told for saved in ack["updates"] if saved["state"] == state]


def _json(chunk: tuple[int, int, bytes]) -> dict[str, Any]:
    return dict(OutputChunk.of(*chunk).to_json())


async def test_a_report_that_alone_cannot_be_saved_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, node: RunningNode, enter: Enter
) -> None:
    good, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
    bad, _ = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (task,) = await good.assigned()
    (other,) = await bad.assigned()
    monkeypatch.setattr(lifecycle, "report", _fails_for(other["task_id"]))
    await asyncio.gather(*(peer.say(t["task_id"], "accepted") for peer, t in ((good, task), (bad, other))))
    await good.payload(events.TASK_ACKNOWLEDGED)
    assert (await one_task(node.db, task["task_id"])).state == "accepted"
    assert (await one_task(node.db, other["task_id"])).state == "sent"
    monkeypatch.undo()
    await bad.report(other["task_id"], "accepted")


def _fails_for(task_id: str) -> Callable[..., bool]:
    report = lifecycle.report

    def fails(task: Any, *arguments: Any) -> bool:
        if task.id == task_id:
            raise RuntimeError("a bug that one task shows")
        return report(task, *arguments)

    return fails
