"""An agent that only watches: it is seen like any other, says that it runs nothing, and refuses every task."""

import signal
from pathlib import Path

from deployx_protocol.tasks import TaskState
from tests.support.task_peer import Ready, TaskPeer

REFUSED = (TaskState.FAILED, "watch_only")


async def test_it_says_so_and_refuses_each_task(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready(watch_only=1)
    assert "This agent only watches; tasks are refused" in agent.log
    assert peer.registrations()[-1].facts["tasks"] == "refused: it only watches"
    end = await peer.do(shell=f"touch {tmp_path}/ran")
    assert (end.state, end.code) == REFUSED
    assert end.message == (
        "The agent of this machine only watches and runs nothing; its owner has to start it without --watch-only."
    )
    await peer.cancel(end.task_id)
    assert (await peer.reported(end.task_id, TaskState.FAILED, 2)).code == "watch_only"
    assert not (tmp_path / "ran").exists()


async def test_it_refuses_what_an_earlier_process_accepted(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    before = await ready(tasks_parallel=1)
    running, waiting = peer.task("sleep", "60"), peer.task(shell=f"touch {tmp_path}/ran")
    await peer.submit(running, waiting)
    await peer.reported(running.task_id, TaskState.RUNNING)
    await peer.reported(waiting.task_id, TaskState.ACCEPTED)
    await before.end(signal.SIGKILL)
    await ready(watch_only=1)
    assert (await peer.ended(running.task_id)).state is TaskState.INTERRUPTED
    end = await peer.ended(waiting.task_id)
    assert (end.state, end.code) == REFUSED
    assert not (tmp_path / "ran").exists()


async def test_the_next_one_that_runs_tasks_says_nothing_of_it(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    assert "tasks" not in peer.registrations()[-1].facts
