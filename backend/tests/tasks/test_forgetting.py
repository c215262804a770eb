"""An agent whose journal is new, or whose state was put back: what it had is lost for good, and never sent again."""

from app.ids import new_id
from deployx_protocol import events
from tests.support.machines import Machine
from tests.support.node import RunningNode
from tests.support.work import Enter, WorkPeer, one_task, queue, run_of

STATES = ["sent", "accepted", "running"]


async def with_tasks(node: RunningNode, enter: Enter) -> tuple[WorkPeer, dict[str, str], int]:
    """An agent with a task in each state, and one that waits; their ids by state."""
    ids: list[str] = []

    async def before(device_id: int) -> None:
        for _ in STATES:
            ids.extend(await queue(node.db, [device_id]))

    peer, device_id = await enter(before=before)
    assert len(await peer.assigned()) == len(STATES)
    await peer.report(ids[1], "accepted")
    await peer.report(ids[2], "running")
    return peer, dict(zip(STATES, ids, strict=True)), device_id


async def all_lost(node: RunningNode, tasks: dict[str, str], code: str) -> None:
    for task_id in tasks.values():
        row = await one_task(node.db, task_id)
        assert (row.state, row.code, row.deadline_at) == ("lost", code, None)
        assert (await run_of(node.db, task_id)).finished_at


async def test_threat_05_a_new_journal_loses_what_was_in_flight(node: RunningNode, enter: Enter) -> None:
    peer, tasks, device_id = await with_tasks(node, enter)
    await peer.abort()
    machine = peer.machine
    machine.journal_id = Machine().journal_id
    peer, _ = await enter(machine)
    await all_lost(node, tasks, "journal_new")
    (other,) = await queue(node.db, [device_id])
    (told,) = await peer.assigned()
    assert (told["task_id"], told["known"]) == (other, False)  # and nothing of what is lost
    for task_id in tasks.values():
        await peer.report(task_id, "succeeded", exit_code=0)
        assert await peer.write(task_id, (0, 1, b"from an earlier time")) == 1
    await all_lost(node, tasks, "journal_new")
    assert (await one_task(node.db, tasks["running"])).output_bytes == 0


async def test_fault_13_a_restored_snapshot_loses_what_was_in_flight(node: RunningNode, enter: Enter) -> None:
    peer, _, _ = await with_tasks(node, enter)
    await peer.close()
    snapshot = peer.machine.clone()
    peer, _ = await enter(peer.machine)  # the agent goes on after the snapshot was taken
    await peer.close()
    await node.status(peer.machine.agent_id, "offline")
    peer, tasks, device_id = await _more_tasks(node, enter, peer.machine)
    await peer.abort()
    peer, _ = await enter(snapshot)
    await all_lost(node, tasks, "journal_restored")
    (other,) = await queue(node.db, [device_id])
    (told,) = await peer.assigned()
    assert (told["task_id"], told["known"]) == (other, False)
    await peer.report(tasks["accepted"], "succeeded", exit_code=0)
    await all_lost(node, tasks, "journal_restored")


async def _more_tasks(node: RunningNode, enter: Enter, machine: Machine) -> tuple[WorkPeer, dict[str, str], int]:
    ids: list[str] = []

    async def before(device_id: int) -> None:
        for _ in STATES:
            ids.extend(await queue(node.db, [device_id]))

    peer, device_id = await enter(machine, before=before)
    told: list[str] = []
    while not set(ids) <= set(told):
        told += [task["task_id"] for task in await peer.assigned()]
    await peer.report(ids[1], "accepted")
    await peer.report(ids[2], "running")
    return peer, dict(zip(STATES, ids, strict=True)), device_id


async def test_a_journal_that_holds_less_than_it_did_was_put_back(node: RunningNode, enter: Enter) -> None:
    peer, tasks, _ = await with_tasks(node, enter)
    await peer.abort()
    peer, _ = await enter(peer.machine, journal_high_water=30)
    await peer.abort()
    assert (await one_task(node.db, tasks["running"])).state == "running"
    await enter(peer.machine, journal_high_water=29)
    await all_lost(node, tasks, "journal_restored")


async def test_the_same_journal_keeps_what_it_has(node: RunningNode, enter: Enter) -> None:
    peer, tasks, _ = await with_tasks(node, enter)
    await peer.abort()
    peer, _ = await enter(peer.machine)
    assert {task["task_id"] for task in await peer.assigned()} == {tasks["sent"], tasks["accepted"]}
    for state, task_id in tasks.items():
        assert (await one_task(node.db, task_id)).state == state


async def test_an_agent_that_does_not_have_what_it_accepted_loses_it(node: RunningNode, enter: Enter) -> None:
    peer, tasks, _ = await with_tasks(node, enter)
    await peer.report(tasks["accepted"], "lost", code="not_in_journal")
    row = await one_task(node.db, tasks["accepted"])
    assert (row.state, row.code) == ("lost", "not_in_journal")
    await peer.report(tasks["accepted"], "succeeded", exit_code=0)
    assert (await one_task(node.db, tasks["accepted"])).state == "lost"


async def test_threat_05_a_report_that_is_replayed_a_thousand_times_ends_its_task_once(
    node: RunningNode, enter: Enter
) -> None:
    times = 1_000
    peer, tasks, _ = await with_tasks(node, enter)
    task_id = tasks["running"]
    update = {"task_id": task_id, "state": "succeeded", "exit_code": 0}
    before = (await one_task(node.db, task_id)).rev
    for _ in range(times // 50):
        await peer.emit(events.TASK_UPDATES, {"updates": [update] * 50})
    last = new_id()
    await peer.emit(events.TASK_UPDATES, {"updates": [{**update, "task_id": last}]})
    acknowledged, unknown = 0, []
    while last not in unknown:  # then the server has come to the end of all
        told = await peer.payload(events.TASK_ACKNOWLEDGED)
        acknowledged += told["updates"].count({"task_id": task_id, "state": "succeeded"})
        unknown += told["unknown"]
    assert acknowledged >= 1
    row = await one_task(node.db, task_id)
    assert (row.state, row.rev) == ("succeeded", before + 1)
