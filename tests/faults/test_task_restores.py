"""A journal that is lost, an agent's state or a server's database that is put back: nothing runs twice.

What can be told still has its end, the rest is `lost`; D = 0 and no process is left after each.
"""

import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import MakeScene, Scene
from tests.support import backups
from tests.support.left_over import left_over
from tests.support.marked_runs import Figures, MarkedRuns
from tests.support.node import eventually

pytestmark = pytest.mark.timeout(300)


class Stages:
    """Runs on agent 0, which does one task at a time: one that is over, one that runs until ``open_gate``, and one that
    waits behind it."""

    def __init__(self, runs: MarkedRuns, name: str, ids: list[int]) -> None:
        self._runs = runs
        self._gate = runs.folder / name
        self._targets = {"device_ids": ids}
        self.over = self.running = self.waiting = ""

    async def reach(self) -> None:
        """Come so far."""
        self.over = await self._runs.start(targets=self._targets)
        await self._runs.in_state(self.over, "succeeded")
        self.running = await self._runs.start(targets=self._targets, until=self._gate)
        await self._runs.in_state(self.running, "running")
        self.waiting = await self._runs.start(targets=self._targets)
        await self._runs.in_state(self.waiting, "accepted")

    def open_gate(self) -> None:
        """Let what runs end."""
        self._gate.touch()

    async def ended(self) -> None:
        """All of it is done."""
        self.open_gate()
        for run in (self.running, self.waiting):
            await self._runs.in_state(run, "succeeded")


async def stages(scene: Scene, runs: MarkedRuns, name: str = "gate") -> Stages:
    """Each of three stages is reached on agent 0."""
    [device] = [one for one in await scene.operator.devices() if one["machine_id"] == "machine-00"]
    made = Stages(runs, name, [device["id"]])
    await made.reach()
    return made


async def judge(runs: MarkedRuns, wanted: dict[str, tuple[str, str]]) -> None:
    """Run → state and code of its task; whatever they are, D = 0 and nothing is left."""
    tasks = await runs.settled()
    assert {task["run_id"]: (task["state"], task["code"]) for task in tasks} == wanted
    assert runs.figures(tasks, may_be_lost=True) == Figures()
    ids = {line.split()[1] for line in runs.lines()} | {task["id"] for task in tasks}
    await eventually(lambda: not left_over(ids), what="the end of every process")


@pytest.mark.databases("sqlite")
async def test_fault_13_a_lost_journal_runs_nothing_again(make_scene: MakeScene) -> None:
    scene = await make_scene()
    runs = scene.marked_runs("runs")
    made = await stages(scene, runs)
    await scene.fleet.kill(0)
    queued = await runs.start()
    shutil.rmtree(scene.fleet.state_dir(0) / "tasks")
    await scene.fleet.start(0)
    await judge(
        runs,
        {
            made.over: ("succeeded", ""),
            made.running: ("lost", "journal_new"),
            made.waiting: ("lost", "journal_new"),
            queued: ("succeeded", ""),
        },
    )


@pytest.mark.databases("sqlite")
async def test_fault_13_a_snapshot_of_the_agents_state_runs_nothing_again(make_scene: MakeScene) -> None:
    scene = await make_scene()
    runs = scene.marked_runs("runs")
    then = await stages(scene, runs)
    snapshot = scene.fleet.folder / "snapshot"
    shutil.copytree(scene.fleet.state_dir(0), snapshot, ignore=shutil.ignore_patterns(".*.tmp"))
    await then.ended()
    await scene.fleet.running.pop(0).end(signal.SIGTERM)
    await scene.fleet.start_all(scene.agents)  # it goes on from there
    now = await stages(scene, runs, "second")
    await scene.fleet.kill(0)
    queued = await runs.start()
    shutil.rmtree(scene.fleet.state_dir(0))
    snapshot.rename(scene.fleet.state_dir(0))
    await scene.fleet.start(0)
    await judge(
        runs,
        {
            **dict.fromkeys((then.over, then.running, then.waiting, now.over, queued), ("succeeded", "")),
            now.running: ("lost", "journal_restored"),
            now.waiting: ("lost", "journal_restored"),
        },
    )


async def test_fault_13_a_backup_of_the_servers_database_runs_nothing_again(
    make_scene: MakeScene, database_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    scene = await make_scene(3)
    runs = scene.marked_runs("runs")
    then = await stages(scene, runs)
    by_machine = {one["machine_id"]: one["id"] for one in await scene.operator.devices()}
    await scene.fleet.kill(1)  # is away
    queued = await runs.start(targets={"device_ids": [by_machine["machine-01"]]})
    scene.fleet.running[2].process.send_signal(signal.SIGSTOP)  # does not answer
    sent = await runs.start(targets={"device_ids": [by_machine["machine-02"]]})
    await runs.in_state(sent, "sent")

    put_back = (
        backups.of_sqlite(database_url, tmp_path)
        if "sqlite" in database_url
        else backups.of_postgres(database_url, request.getfixturevalue("postgres_server"))
    )
    scene.fleet.running[2].process.send_signal(signal.SIGCONT)
    await scene.fleet.start(1)
    await then.ended()
    for run in (queued, sent):
        await runs.in_state(run, "succeeded")
    later = await stages(scene, runs, "second")
    before = runs.lines()
    await scene.server.kill()
    put_back()
    await scene.server.start()

    for run in (later.over, later.running, later.waiting):
        assert (await scene.operator.client.get(f"/runs/{run}")).status_code == 404
        runs.forget(run)
    await scene.fleet.running[0].logged("The server does not have this task any more", 2)
    later.open_gate()
    after = await runs.start()
    [silent] = await runs.tasks(then.running)  # its agent has said all of it, and is not asked about what runs
    assert (silent["state"], bool(silent["deadline_at"])) == ("running", True), "lost once its time is over"
    runs.forget(then.running)
    await judge(runs, dict.fromkeys([then.over, then.waiting, queued, sent, after], ("succeeded", "")))
    new = runs.lines() - before
    assert len(new) == 2 * 3 + 1, "the run that came after on three devices, and the end of what was running"
