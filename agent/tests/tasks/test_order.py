"""Which task runs when: in order, so many at once, not too late; and what becomes of those that wait."""

import asyncio
import signal
from pathlib import Path

from deployx_agent.tasks import processes
from deployx_protocol.task_messages import TaskAcknowledged
from deployx_protocol.tasks import FINAL, TaskState
from tests.support.task_peer import Ready, TaskPeer


def waits_for(path: Path) -> str:
    """A shell line that goes on as soon as ``path`` exists."""
    return f"until test -e {path}; do sleep 0.02; done"


async def test_so_many_run_at_once_and_the_rest_in_order(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    await ready(tasks_parallel=2)
    order = tmp_path / "order"
    tasks = [
        peer.task(shell=f"echo {n} >> {order}; {waits_for(tmp_path / str(n))}; echo end {n} >> {order}")
        for n in range(5)
    ]
    await peer.assign(*tasks)
    for task in tasks[:2]:
        await peer.reported(task.task_id, TaskState.RUNNING)
    for task in tasks[2:]:
        await peer.reported(task.task_id, TaskState.ACCEPTED)
    assert sorted(order.read_text().split()) == ["0", "1"]
    for number, task in enumerate(tasks):
        (tmp_path / str(number)).touch()
        await peer.ended(task.task_id)
    lines = order.read_text().splitlines()
    assert [line for line in lines if line in "234"] == ["2", "3", "4"]
    assert lines.index("2") > lines.index("end 0")


async def test_what_waits_too_long_expires_and_can_be_called_off(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    await ready(tasks_parallel=1)
    first = peer.task(shell=waits_for(tmp_path / "go"))
    late = peer.task(shell=f"touch {tmp_path}/late", expires_in_s=0.2)
    unwanted = peer.task(shell=f"touch {tmp_path}/unwanted")
    await peer.assign(first, late, unwanted)
    assert (await peer.ended(late.task_id)).state is TaskState.EXPIRED
    await peer.cancel(unwanted.task_id)
    assert (await peer.ended(unwanted.task_id)).state is TaskState.CANCELLED
    (tmp_path / "go").touch()
    await peer.ended(first.task_id)
    assert {path.name for path in tmp_path.iterdir()} == {"go", "state"}


async def test_reports_are_repeated_until_they_are_acknowledged(peer: TaskPeer, ready: Ready, state_dir: Path) -> None:
    await ready()
    peer.acknowledges = lambda update: update.state not in FINAL or any(one.state in FINAL for one in peer.updates)
    task = peer.task("echo", "hi")
    await peer.assign(task)
    await peer.reported(task.task_id, TaskState.SUCCEEDED, 2)
    await peer.do("true")
    await _kept(state_dir, 0)


async def test_a_report_outlives_the_connection_and_is_repeated_on_the_next(
    peer: TaskPeer, ready: Ready, tmp_path: Path
) -> None:
    agent = await ready()
    peer.acknowledges = lambda _: False
    task = peer.task(shell=f"echo once >> {tmp_path}/marker; {waits_for(tmp_path / 'go')}; head -c 400000 /dev/zero")
    await peer.assign(task)
    await peer.reported(task.task_id, TaskState.RUNNING)
    await peer.stop()
    (tmp_path / "go").touch()
    await agent.logged("Task ended")
    await peer.start()
    await agent.logged("Agent ready", 2)
    peer.acknowledges = lambda _: True
    await peer.assign(task)
    end = await peer.ended(task.task_id)
    assert (end.state, len(peer.printed(task.task_id))) == (TaskState.SUCCEEDED, 400_000)
    assert end.ago_s > 0
    assert (tmp_path / "marker").read_text() == "once\n"


async def test_what_the_server_has_forgotten_is_forgotten_here(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready(tasks_parallel=1)
    peer.acknowledges = lambda _: False
    runs = peer.task(shell=f"{waits_for(tmp_path / 'go')}; touch {tmp_path}/ended")
    waits = peer.task(shell=f"touch {tmp_path}/started")
    await peer.assign(runs, waits)
    await peer.reported(runs.task_id, TaskState.RUNNING)
    await peer.say(TaskAcknowledged(unknown=[runs.task_id, waits.task_id]))
    await agent.logged("The server does not have this task any more", 2)
    (tmp_path / "go").touch()
    await agent.logged("Task ended", 2)
    assert (tmp_path / "ended").exists()
    assert not (tmp_path / "started").exists()
    assert TaskState.SUCCEEDED not in peer.states(runs.task_id)


async def test_a_stop_waits_for_what_runs_and_reports_it(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready()
    task = peer.task(shell=f"{waits_for(tmp_path / 'go')}; echo done")
    await peer.assign(task)
    await peer.reported(task.task_id, TaskState.RUNNING)
    agent.process.send_signal(signal.SIGTERM)
    await agent.logged("Waiting for tasks to end")
    (tmp_path / "go").touch()
    assert (await peer.ended(task.task_id)).state is TaskState.SUCCEEDED
    assert await agent.end() == 0
    assert peer.printed(task.task_id) == b"done\n"


async def test_a_second_stop_ends_what_runs(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready(tasks_parallel=1)
    task = peer.task(shell=f"echo $$; {waits_for(tmp_path / 'go')}")
    waiting = peer.task(shell=f"touch {tmp_path}/ran")
    await peer.assign(task, waiting)
    await peer.told(lambda: peer.printed(task.task_id))
    agent.process.send_signal(signal.SIGTERM)
    await agent.logged("Waiting for tasks to end")
    agent.process.send_signal(signal.SIGTERM)
    end = await peer.ended(task.task_id)
    assert (end.state, end.code) == (TaskState.INTERRUPTED, "agent_stopped")
    assert await agent.end() == 0
    assert processes.members(int(peer.printed(task.task_id))) == []

    await ready(tasks_parallel=1)  # what had not started waits for the server's word
    assert not (tmp_path / "ran").exists()
    await peer.assign(waiting)
    assert (await peer.ended(waiting.task_id)).state is TaskState.SUCCEEDED


async def test_giving_up_ends_the_connection_and_not_the_task(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready(reconnect_attempts=2, reconnect_delay=0.01)
    task = peer.task(shell=f"{waits_for(tmp_path / 'go')}; echo done > {tmp_path}/ended")
    await peer.assign(task)
    await peer.reported(task.task_id, TaskState.RUNNING)
    await peer.stop()
    await agent.logged("The agent stays until its tasks have ended")
    assert agent.process.returncode is None
    (tmp_path / "go").touch()
    assert await agent.end() == 69
    assert (tmp_path / "ended").read_text() == "done\n"
    await peer.start()
    await ready()
    assert (await peer.ended(task.task_id)).state is TaskState.SUCCEEDED


async def _kept(state_dir: Path, count: int) -> None:
    """Wait until so many spools are left."""
    async with asyncio.timeout(30):
        while len(list((state_dir / "tasks").glob("*.out"))) != count:
            await asyncio.sleep(0.02)
