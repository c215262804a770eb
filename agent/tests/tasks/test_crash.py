"""kill -9 at each point of a task's life, and at any moment: none lost, none run twice, no process left.

The points are system calls: strace kills the agent as it enters the n-th write to the journal, the n-th sync of it, the
n-th message to the server. What the server does in between is what the contract says: it assigns again what it has no
word of, and says so when it has the receipt.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from deployx_agent.tasks.latch import does_lines
from deployx_agent.tasks.processes import members
from deployx_protocol.task_messages import Task
from deployx_protocol.tasks import TaskState
from tests.support.agent_process import StartAgent
from tests.support.left_over import left_over
from tests.support.spare import spare, until, waiting
from tests.support.task_peer import Ready, TaskPeer

LINE = "echo {n} >> {marker}; head -c 20000 /dev/zero; sleep 0.15; echo {n} >> {ends}"
BUSY = "i=0; while [ $i -lt 99999999 ]; do i=$((i+1)); done"
"""What a shell does without another program, for half a minute or more: nobody has to end it if a test fails."""
MAY_BE = {TaskState.SUCCEEDED, TaskState.INTERRUPTED}
CALLS = (
    [("pwrite64", n) for n in range(1, 9)]
    + [("fdatasync", n) for n in range(1, 6)]
    + [("sendto", n) for n in range(3, 9)]
)
SAMPLE = [("pwrite64", 1), ("pwrite64", 4), ("fdatasync", 1), ("fdatasync", 2), ("fdatasync", 3), ("sendto", 5)]


def strace(call: str, number: int) -> list[str]:
    """Runs a program that is killed as it enters this call for the n-th time in one of its threads."""
    return ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={call}", "-e", _inject(call, number)]


def _inject(call: str, number: int) -> str:
    return f"inject={call}:signal=SIGKILL:when={number}"


async def check(peer: TaskPeer, tmp_path: Path) -> None:
    """L = D = 0, nothing is left of any task, and what is said of each is true."""
    await peer.all_over()
    started, ended = (_lines(tmp_path / name) for name in ("marker", "ends"))
    for task_id, task in peer.tasks.items():
        state, number = peer.saved[task_id], _number(task)
        assert state in MAY_BE
        assert started.count(number) <= 1, "never twice"
        if state is TaskState.SUCCEEDED:
            assert (started.count(number), ended.count(number)) == (1, 1)
            await peer.ended(task_id)
            assert peer.printed(task_id) == bytes(20_000)
    assert left_over(peer.tasks) == []


async def _forgotten_by_memory(state_dir: Path, copy: Path) -> None:
    """Wait until the journal alone remembers the tasks: it has closed them. The agent lets nobody else into its own."""
    async with asyncio.timeout(15):
        while not _all_closed(state_dir / "tasks", copy):
            await asyncio.sleep(0.1)


def _all_closed(tasks: Path, copy: Path) -> bool:
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in tasks.glob("journal.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, copy)
    with contextlib.closing(sqlite3.connect(copy / "journal.db")) as journal, contextlib.suppress(sqlite3.Error):
        return [stage for (stage,) in journal.execute("SELECT DISTINCT stage FROM tasks")] == ["closed"]
    return False


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _tasks(peer: TaskPeer, tmp_path: Path, count: int, first: int = 0) -> list[Task]:
    marker, ends = tmp_path / "marker", tmp_path / "ends"
    return [peer.task(shell=LINE.format(n=n, marker=marker, ends=ends)) for n in range(first, first + count)]


def _number(task: Task) -> str:
    assert task.shell
    return task.shell.split()[1]


async def killed_at(call: str, number: int, peer: TaskPeer, start_agent: StartAgent, tmp_path: Path) -> None:
    first = await start_agent(server_url=peer.origin)
    await first.logged("Agent ready")
    await first.end(15)
    peer.tasks = {task.task_id: task for task in _tasks(peer, tmp_path, 2)}
    agent = await start_agent(server_url=peer.origin, under=strace(call, number))
    assert await agent.end() == -9
    await start_agent(server_url=peer.origin)
    await check(peer, tmp_path)


@pytest.mark.parametrize(("call", "number"), SAMPLE)
async def test_fault_02_killed_at_a_point(
    call: str, number: int, peer: TaskPeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    await killed_at(call, number, peer, start_agent, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize(("call", "number"), CALLS)
async def test_fault_02_killed_at_every_point(
    call: str, number: int, peer: TaskPeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    await killed_at(call, number, peer, start_agent, tmp_path)


async def killed_at_any_moment(times: int, peer: TaskPeer, start_agent: StartAgent, tmp_path: Path) -> None:
    dice = random.Random(7)
    for turn in range(times):
        agent = await start_agent(server_url=peer.origin)
        await agent.logged("Agent ready")
        await peer.submit(*_tasks(peer, tmp_path, 4, 4 * turn))
        await asyncio.sleep(dice.random() * 0.25)
        await agent.end(9)
    await start_agent(server_url=peer.origin)
    await check(peer, tmp_path)
    states = list(peer.saved.values())
    assert {TaskState.SUCCEEDED} < set(states) if times > 20 else states


@pytest.mark.timeout(300)
async def test_fault_02_killed_at_any_moment(peer: TaskPeer, start_agent: StartAgent, tmp_path: Path) -> None:
    await killed_at_any_moment(5, peer, start_agent, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_fault_02_killed_at_three_hundred_moments(
    peer: TaskPeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    await killed_at_any_moment(300, peer, start_agent, tmp_path)


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(5, marks=pytest.mark.timeout(300)),
        pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
async def test_fault_02_killed_while_the_waiting_shell_does_a_line(
    times: int, peer: TaskPeer, ready: Ready, start_agent: StartAgent, tmp_path: Path
) -> None:
    dice = random.Random(8)
    for turn in range(times):
        agent, _ = await spare(peer, ready)
        await peer.submit(*_tasks(peer, tmp_path, 1, turn))
        await asyncio.sleep(dice.random() * 0.2)
        await agent.end(9)
    await start_agent(server_url=peer.origin)
    await check(peer, tmp_path)
    assert TaskState.INTERRUPTED in peer.saved.values()


@pytest.mark.parametrize("line", [f"echo up; {BUSY}", f"trap '' TERM; echo up; {BUSY}", f"echo up; ({BUSY}) & exit"])
async def test_fault_02_a_line_that_a_killed_agent_left_is_ended_first(
    line: str, peer: TaskPeer, ready: Ready, start_agent: StartAgent
) -> None:
    agent, pid = await spare(peer, ready)
    task = peer.task(shell=line, timeout_s=600)
    await peer.submit(task)
    await peer.told(lambda: peer.printed(task.task_id))
    await agent.end(9)
    assert members(pid) or not does_lines()
    await start_agent(server_url=peer.origin)
    end = await peer.ended(task.task_id)
    assert members(pid) == [], "first ended, then reported"
    assert (end.state, end.code) == (TaskState.INTERRUPTED, "agent_killed")


async def test_fault_13_a_line_that_a_lost_journal_knew_of_is_ended_first(
    peer: TaskPeer, ready: Ready, start_agent: StartAgent, state_dir: Path
) -> None:
    agent, _ = await spare(peer, ready)
    daemon = await peer.do(shell=f"({BUSY}) >/dev/null 2>&1 & echo $$")
    pid = (await until(lambda: waiting(agent)))[0]
    task = peer.task(shell=f"echo up; {BUSY}", timeout_s=600)
    await peer.submit(task)
    await peer.told(lambda: peer.printed(task.task_id))
    await agent.end(9)
    shutil.rmtree(state_dir / "tasks")
    registered = len(peer.registrations())
    peer.tasks.clear()
    again = await start_agent(server_url=peer.origin)
    await peer.until("agent_register", registered + 1)
    assert members(pid) == [], "it had ended when the server heard of the new journal"
    if does_lines():
        assert f"A task that is not in the journal runs; it is ended  task_id=unknown pgid={pid}" in again.log
    group = int(peer.printed(daemon.task_id))
    left = members(group)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    assert left, "what a task leaves running is its own"


async def test_fault_02_what_a_killed_agent_left_is_ended_first(
    peer: TaskPeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = await start_agent(server_url=peer.origin)
    await agent.logged("Agent ready")
    line = f"trap '' TERM; echo 1 >> {tmp_path}/marker; (exec sleep 308) & echo up; while :; do sleep 1; done"
    task = peer.task(shell=line, timeout_s=600)
    await peer.submit(task)
    await peer.told(lambda: peer.printed(task.task_id))
    await agent.end(9)
    assert left_over(peer.tasks)
    await start_agent(server_url=peer.origin)
    end = await peer.ended(task.task_id)
    assert left_over(peer.tasks) == [], "first ended, then reported"
    assert (end.state, end.code) == (TaskState.INTERRUPTED, "agent_killed")
    assert peer.printed(task.task_id) == b"up\n", "what it had said is not lost"
    assert _lines(tmp_path / "marker") == ["1"]


async def test_fault_13_what_a_lost_journal_knew_of_is_ended_first(
    peer: TaskPeer, start_agent: StartAgent, tmp_path: Path, state_dir: Path
) -> None:
    agent = await start_agent(server_url=peer.origin)
    await agent.logged("Agent ready")
    daemon = peer.task(shell="setsid -f sh -c 'echo $$; exec sleep 306 >/dev/null 2>&1'")
    task = peer.task(shell="sleep 307 & echo up; wait", timeout_s=600)
    await peer.submit(daemon, task)
    await peer.told(lambda: peer.printed(task.task_id))
    await peer.ended(daemon.task_id)
    await agent.end(9)
    shutil.rmtree(state_dir / "tasks")
    registered = len(peer.registrations())
    peer.tasks.clear()
    again = await start_agent(server_url=peer.origin)
    await peer.until("agent_register", registered + 1)
    assert left_over([task.task_id]) == [], "it had ended when the server heard of the new journal"
    assert f"A task that is not in the journal runs; it is ended  task_id={task.task_id}" in again.log
    assert left_over([daemon.task_id]) == ["sleep\x00306\x00"], "what a task leaves running is its own"
    os.kill(int(peer.printed(daemon.task_id)), signal.SIGKILL)


async def test_fault_03_killed_between_the_end_and_its_acknowledgement(
    peer: TaskPeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = await start_agent(server_url=peer.origin)
    await agent.logged("Agent ready")
    peer.acknowledges = lambda update: update.state is TaskState.ACCEPTED
    peer.takes_output = False
    (task,) = _tasks(peer, tmp_path, 1)
    await peer.submit(task)
    await peer.reported(task.task_id, TaskState.SUCCEEDED)
    await agent.end(9)
    peer.acknowledges, peer.takes_output = lambda _: True, True
    again = await start_agent(server_url=peer.origin)
    await check(peer, tmp_path)
    assert peer.saved[task.task_id] is TaskState.SUCCEEDED
    await again.end(15)
    tasks = tmp_path / "state" / "tasks"
    assert not list(tasks.glob("*.out"))


async def test_threat_05_a_repeat_is_never_run_again(
    peer: TaskPeer, start_agent: StartAgent, state_dir: Path, tmp_path: Path
) -> None:
    agent = await start_agent(server_url=peer.origin)
    await agent.logged("Agent ready")
    (task,) = _tasks(peer, tmp_path, 1)
    await peer.submit(task)
    await peer.all_over()
    for _ in range(50):
        await peer.assign(*[task] * 20)
    await peer.reported(task.task_id, TaskState.SUCCEEDED, 2)
    await _forgotten_by_memory(state_dir, tmp_path / "copy")
    await agent.end(9)
    await start_agent(server_url=peer.origin)
    count = len(peer.updates)
    await peer.until("registration_ack", 2)
    await peer.assign(task)
    await peer.told(lambda: len(peer.updates) > count)
    assert peer.updates[-1].state is TaskState.SUCCEEDED
    assert _lines(tmp_path / "marker") == ["0"]
