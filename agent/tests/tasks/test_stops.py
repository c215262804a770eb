"""An agent that is stopped while a task runs: it waits, then ends it, and what was printed until then is not lost."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from deployx_agent.tasks import processes
from deployx_agent.tasks.engine import END_PATIENCE_S, REPORT_PATIENCE_S, STOP_PATIENCE_S
from deployx_protocol.task_messages import STDERR, Task, TaskUpdate
from deployx_protocol.tasks import TaskState
from tests.support.agent_process import AgentProcess
from tests.support.task_peer import Ready, TaskPeer

LINES = 20_000
"""Printed at once: more than goes over the link, so that the rest has to be posted."""


def printing(peer: TaskPeer, folder: Path) -> Task:
    """A task that prints much, says so in a file, and goes on."""
    line = f"seq {LINES} | tee {folder}/copy; echo $$ > {folder}/pid; while :; do sleep 0.05; done"
    return peer.task(shell=line, timeout_s=600)


async def spooled(state_dir: Path, folder: Path, task: Task) -> bytes:
    """What the task has printed, once all of it is in the agent's spool."""
    spool, pid = state_dir / "tasks" / f"{task.task_id}.out", folder / "pid"
    async with asyncio.timeout(60):
        while not (
            pid.exists() and pid.read_text().strip() and spool.stat().st_size > (folder / "copy").stat().st_size
        ):
            await asyncio.sleep(0.02)
    return (folder / "copy").read_bytes()


def check(peer: TaskPeer, end: TaskUpdate, printed: bytes, folder: Path, code: str) -> None:
    """It was interrupted, everything that it printed has come, and nothing of it runs any more."""
    assert (end.state, end.code, end.lost_bytes) == (TaskState.INTERRUPTED, code, 0)
    assert (peer.printed(end.task_id) == printed) is True
    assert end.digest == peer.digest(end.task_id)
    assert processes.members(int((folder / "pid").read_text())) == []


async def began(peer: TaskPeer, ready: Ready, state_dir: Path, folder: Path) -> tuple[AgentProcess, Task, bytes]:
    """An agent with such a task; the server takes none of its output."""
    agent = await ready()
    peer.takes_output = False
    task = printing(peer, folder)
    await peer.assign(task)
    return agent, task, await spooled(state_dir, folder, task)


async def test_what_a_stopped_agent_could_not_say_is_said_at_its_next_start(
    peer: TaskPeer, ready: Ready, state_dir: Path, tmp_path: Path
) -> None:
    agent, task, printed = await began(peer, ready, state_dir, tmp_path)
    agent.process.send_signal(signal.SIGTERM)
    await agent.logged("Waiting for tasks to end")
    await peer.stop()
    agent.process.send_signal(signal.SIGTERM)
    assert await agent.end() == 0
    peer.takes_output = True
    await peer.start()
    await ready()
    check(peer, await peer.ended(task.task_id), printed, tmp_path, "agent_stopped")


async def test_fault_02_a_service_manager_that_waits_no_longer_loses_nothing_that_was_printed(
    peer: TaskPeer, ready: Ready, state_dir: Path, tmp_path: Path
) -> None:
    agent, task, printed = await began(peer, ready, state_dir, tmp_path)
    agent.process.send_signal(signal.SIGTERM)
    await agent.logged("Waiting for tasks to end")
    await agent.end(signal.SIGKILL)
    peer.takes_output = True
    await ready()
    check(peer, await peer.ended(task.task_id), printed, tmp_path, "agent_killed")


async def test_little_output_outlives_its_agent_in_the_journal(peer: TaskPeer, ready: Ready, state_dir: Path) -> None:
    agent = await ready()
    peer.acknowledges, peer.takes_output = lambda _: False, False
    task = peer.task(shell="echo out; echo err >&2")
    await peer.assign(task)
    await peer.reported(task.task_id, TaskState.SUCCEEDED)
    assert not list((state_dir / "tasks").glob("*.out")), "it is nowhere else"
    await agent.end(signal.SIGKILL)
    peer.acknowledges, peer.takes_output = lambda _: True, True
    again = await ready()
    end = await peer.ended(task.task_id)
    assert (peer.printed(task.task_id), peer.printed(task.task_id, STDERR)) == (b"out\n", b"err\n")
    assert end.digest == peer.digest(task.task_id)
    assert await again.end(signal.SIGTERM) == 0
    assert not list((state_dir / "tasks").glob("*.out")), "what the server has is closed before the agent ends"


@pytest.mark.soak
async def test_a_stop_waits_half_a_minute_and_no_longer(
    peer: TaskPeer, ready: Ready, state_dir: Path, tmp_path: Path
) -> None:
    agent, task, printed = await began(peer, ready, state_dir, tmp_path)
    peer.takes_output = True
    at = time.monotonic()
    agent.process.send_signal(signal.SIGTERM)
    end = await peer.reported(task.task_id, TaskState.INTERRUPTED)
    assert STOP_PATIENCE_S <= time.monotonic() - at <= STOP_PATIENCE_S + END_PATIENCE_S
    assert await agent.end() == 0
    assert time.monotonic() - at <= STOP_PATIENCE_S + END_PATIENCE_S + REPORT_PATIENCE_S
    await ready()
    check(peer, await peer.ended(end.task_id), printed, tmp_path, "agent_stopped")
