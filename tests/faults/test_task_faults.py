"""What goes on while tasks run: databases that are away or full, a network that is cut, clocks, copies of an agent.

In each L = D = U = 0: what an agent has done is said once there is somebody to take it, and nothing is done again.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import MakeScene, Scene
from tests.faults.test_clock import HOUR_S, SHIM
from tests.support.marked_runs import Figures, MarkedRuns
from tests.support.node import eventually
from tests.support.postgres import PostgresServer, free_port, throwaway
from tests.support.proxy import proxying
from tests.support.small_disk import LimitedProcess

PINGS = {"ping_interval": 0.5, "ping_timeout": 1.0, "heartbeat_interval": 0.5}
BACKLOG = 5

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that this test alone may stop."""
    with throwaway() as server:
        yield server


async def running(scene: Scene, runs: MarkedRuns, gate: Path) -> None:
    """A task runs on every agent until there is a gate."""
    run = await runs.start(until=gate, output_bytes=1_000)

    async def all_run() -> bool:
        return all(task["state"] == "running" for task in await runs.tasks(run))

    await eventually(all_run, within_s=60, what="a task on every agent")


async def ends_unheard(scene: Scene, gate: Path) -> None:
    """The tasks end while nobody can save it; agent 0 is killed and comes back with nothing but its disk."""
    gate.touch()
    for agent in scene.fleet.running.values():
        await agent.logged("Task ended")
    await scene.fleet.kill(0)
    await scene.fleet.start(0)


async def all_succeeded(scene: Scene, runs: MarkedRuns, count: int) -> None:
    """Every task has, once; so many there are."""
    tasks = await runs.settled()
    assert [task["state"] for task in tasks] == ["succeeded"] * count, tasks
    assert runs.figures(tasks) == Figures()


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("outage_s", [1, pytest.param(60, marks=pytest.mark.soak)])
async def test_fault_04_results_wait_on_the_agents_disks(
    make_scene: MakeScene, own_postgres: PostgresServer, outage_s: float
) -> None:
    scene = await make_scene(2, url=own_postgres.create_database())
    runs = scene.marked_runs("runs")
    gate = runs.folder / "gate"
    await running(scene, runs, gate)
    await asyncio.to_thread(own_postgres.stop, immediate=False)
    await ends_unheard(scene, gate)
    promised = asyncio.create_task(runs.start())
    await asyncio.sleep(outage_s)  # what is tested is that so much time passes
    assert not promised.done(), "nobody may promise what cannot be saved"
    await asyncio.to_thread(own_postgres.start)
    await promised
    await all_succeeded(scene, runs, 4)


@pytest.mark.databases("sqlite")
async def test_fault_05_results_wait_for_room_on_the_servers_disk(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = await make_scene(2)
    runs = scene.marked_runs("runs")
    gate = runs.folder / "gate"
    await running(scene, runs, gate)
    disk = LimitedProcess(scene.server.pid, tmp_path)
    disk.fill()
    promised = asyncio.create_task(runs.start())
    await ends_unheard(scene, gate)
    await eventually(lambda: "tasks.reports_wait" in scene.server.log, what="a report without room")
    assert not promised.done(), "nobody may promise what cannot be saved"
    disk.empty()
    await promised
    await all_succeeded(scene, runs, 4)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("partition_s", [0, pytest.param(300, marks=pytest.mark.soak)])
async def test_fault_08_the_backlog_runs_once_and_in_order(make_scene: MakeScene, partition_s: float) -> None:
    async with proxying(free_port()) as proxy:
        scene = await make_scene(proxy=proxy, **PINGS)
        runs = scene.marked_runs("runs")
        gate = runs.folder / "gate"
        await running(scene, runs, gate)
        proxy.partition()
        await scene.operator.until(1, status="offline")
        gate.touch()
        backlog = [await runs.start() for _ in range(BACKLOG)]
        await asyncio.sleep(partition_s)  # what is tested is that so much time passes
        waiting = [task for run in backlog for task in await runs.tasks(run)]
        assert {(task["state"], task["reason"].split()[0]) for task in waiting} == {("queued", "offline")}
        proxy.heal()
        await all_succeeded(scene, runs, 1 + BACKLOG)
        started = [line.split()[1] for line in runs.lines() if line.startswith("start")]
        assert started[1:] == [task["id"] for task in waiting]


@pytest.mark.databases("sqlite")
async def test_fault_10_the_agents_clock_moves_an_hour_and_its_tasks_go_on(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    scene = await make_scene()
    await scene.fleet.kill(0)
    moved = tmp_path / "moved"
    moved.write_text("0")
    await scene.fleet.start(0, outside={"PYTHONPATH": str(SHIM), "MOVED_CLOCK": str(moved)})
    await scene.ready()
    runs = scene.marked_runs("runs")
    for moved_s in (HOUR_S, -HOUR_S):
        gate = runs.folder / f"gate{moved_s}"
        await running(scene, runs, gate)
        waits = await runs.start(expires_s=600, timeout_s=600)
        await runs.in_state(waits, "accepted")
        moved.write_text(str(moved_s))
        gate.touch()
        task = await runs.in_state(waits, "succeeded")
        assert 0 <= task["duration_s"] < 600
    await all_succeeded(scene, runs, 4)


@pytest.mark.databases("sqlite")
async def test_fault_11_a_second_agent_leaves_the_tasks_of_the_first_alone(make_scene: MakeScene) -> None:
    scene = await make_scene()
    runs = scene.marked_runs("runs")
    gate = runs.folder / "gate"
    await running(scene, runs, gate)
    first = scene.fleet.running[0]
    second = await scene.fleet.start(0)
    assert await second.end() == 75
    scene.fleet.running[0] = first
    gate.touch()
    await all_succeeded(scene, runs, 1)


@pytest.mark.databases("sqlite")
async def test_fault_12_neither_of_two_copies_gets_work_until_one_is_told_apart(make_scene: MakeScene) -> None:
    scene = await make_scene()
    runs = scene.marked_runs("runs")
    gate = runs.folder / "gate"
    await running(scene, runs, gate)
    scene.fleet.copy(0, 1)
    await scene.fleet.start(1, machine_id=scene.fleet.machine_id(0))
    await scene.operator.until(1, trust="quarantined")
    body = {"command": ["true"], "targets": {"selector": "*"}}
    refused = await scene.operator.client.post("/runs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "no_device_matched")
    gate.touch()
    await scene.fleet.running[0].logged("Task ended")
    lines = runs.lines()
    [claim] = await scene.operator.claims()
    await scene.operator.ask("POST", f"/claims/{claim['id']}/split")
    await scene.operator.until(2, status="online", trust="trusted")
    assert runs.lines() == lines, "what was running ended once, and nothing was begun"
    await runs.start()
    tasks = await runs.settled()
    assert runs.figures(tasks, may_be_lost=True) == Figures()
