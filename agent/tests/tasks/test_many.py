"""Ten thousand tasks that wait: they take little memory, can be called off at once, and run in their order."""

import itertools
from pathlib import Path

import pytest

from deployx_agent.tasks.orders import ENTRIES_MAX
from deployx_protocol.tasks import TaskState
from tests.support.memory import resident_mib
from tests.support.task_peer import Ready, TaskPeer

MANY = ENTRIES_MAX - 2
GROWS_MIB = 20
TOGETHER, PACE = 25, 1_000
"""How many are assigned with one message; and how many before they are accepted."""
WORDS = "x" * 2_000
"""Told with each task, and not to be kept in memory while it waits."""


class Reports:
    """Counts what was reported, however often."""

    def __init__(self, peer: TaskPeer) -> None:
        self._peer = peer
        self._read = 0
        self._seen: dict[TaskState, set[str]] = {}

    async def come(self, state: TaskState, count: int) -> None:
        """Wait until so many tasks were reported in this state."""
        await self._peer.told(lambda: self._count(state) >= count)

    def _count(self, state: TaskState) -> int:
        for update in itertools.islice(self._peer.updates, self._read, None):
            self._seen.setdefault(update.state, set()).add(update.task_id)
            self._read += 1
        return len(self._seen.get(state, ()))


@pytest.mark.timeout(300)
async def test_ten_thousand_wait_in_little_memory(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready(forked=False, tasks_parallel=1)
    go, order, reports = tmp_path / "go", tmp_path / "order", Reports(peer)
    first = peer.task(shell=f"until test -e {go}; do sleep 0.02; done")
    await peer.assign(first)
    await peer.reported(first.task_id, TaskState.RUNNING)
    before = resident_mib(agent.process.pid)
    tasks = [peer.task(shell=f"echo {number} >> {order}; : {WORDS}") for number in range(MANY)]
    for start in range(0, MANY, TOGETHER):
        await peer.assign(*tasks[start : start + TOGETHER])
        await reports.come(TaskState.ACCEPTED, start - PACE)
    await reports.come(TaskState.ACCEPTED, MANY)
    await peer.assign(peer.task("true"), peer.task("true"))
    await agent.logged("More tasks wait than are taken; this one is left to be repeated")
    assert resident_mib(agent.process.pid, peak=True) - before < GROWS_MIB

    ids = [task.task_id for task in tasks[:-3]]
    for start in range(0, len(ids), 500):
        await peer.cancel(*ids[start : start + 500])
    await reports.come(TaskState.CANCELLED, len(ids))
    go.touch()
    for task in tasks[-3:]:
        assert (await peer.ended(task.task_id)).state is TaskState.SUCCEEDED
    assert order.read_text().split() == [str(number) for number in range(MANY - 3, MANY)]
    assert resident_mib(agent.process.pid, peak=True) - before < GROWS_MIB
