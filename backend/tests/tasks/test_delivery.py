"""Delivery over real sockets: what is queued reaches its agent, what became of it is acknowledged once it is saved."""

from tests.support.node import RunningNode
from tests.support.work import Enter, digest, one_task, output_of, queue, run_of


async def test_a_task_goes_from_queued_to_succeeded(node: RunningNode, enter: Enter) -> None:
    ids: list[str] = []

    async def wait_for(device_id: int) -> None:
        ids.extend(await queue(node.db, [device_id]))

    peer, _ = await enter(before=wait_for)
    (told,) = await peer.assigned()
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
