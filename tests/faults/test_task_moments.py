"""kill -9 of agents and server at random moments, while runs come and go: L = D = U = 0, and no process is left.

A moment is some time after a run was started, more often short after, since that is when the most is going on. Several
of them may die of one run, each at a moment of its own; every fifth time that is while they get over the last.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.faults.conftest import MakeScene, Scene
from tests.support.left_over import left_over
from tests.support.marked_runs import Figures, MarkedRuns
from tests.support.node import eventually

MOMENT_MAX_S = 0.6
OUTPUT_BYTES = 5_000
LASTS_S = 0.1
AT_ONCE = 0.2
"""How often the next run does not wait until all are back."""
AGENT, SERVER = 0.5, 0.1
"""How often each is among those that die."""


async def killed_at_random(scene: Scene, moments: int, seed: int) -> str:
    """Kill somebody at each moment, and hold what was said in the end to what was done; the figures in words."""
    dice = random.Random(seed)
    runs = scene.marked_runs("moments")
    killed: Counter[str] = Counter()
    began, rounds = time.monotonic(), 0
    while killed.total() < moments:
        if dice.random() > AT_ONCE:
            await scene.ready()
        await runs.start(output_bytes=OUTPUT_BYTES, lasts_s=LASTS_S)
        rounds += 1
        dying: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("agent", partial(_kill_agent, scene, number)) for number in scene.agents if dice.random() < AGENT
        ]
        if dice.random() < SERVER or not dying:
            dying.append(("server", partial(_kill_server, scene)))
        async with asyncio.TaskGroup() as group:
            for name, kill in dying:
                killed[name] += 1
                group.create_task(_at(MOMENT_MAX_S * dice.random() ** 2, kill))
    tasks = await runs.settled()
    states = Counter(task["state"] for task in tasks)
    assert runs.figures(tasks) == Figures(), (runs.figures(tasks), _odd(runs, tasks))
    assert set(states) <= {"succeeded", "interrupted"}, states
    assert len(tasks) == rounds * len(scene.agents)
    assert states["succeeded"] > len(tasks) / 4, "not every task meets a kill"
    ids = {task["id"] for task in tasks}
    await eventually(lambda: not left_over(ids), what="the end of every process")
    took_s = time.monotonic() - began
    return f"{killed.total()} moments {dict(killed)}, {len(tasks)} tasks {dict(states)}: L = D = U = 0, {took_s:.0f} s"


async def _at(delay_s: float, kill: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(delay_s)  # the moment is what is tried
    await kill()


async def _kill_agent(scene: Scene, number: int) -> None:
    await scene.fleet.kill(number)
    await scene.fleet.start(number)


async def _kill_server(scene: Scene) -> None:
    await scene.server.kill()
    await scene.server.start()


def _odd(runs: MarkedRuns, tasks: list[dict[str, object]]) -> object:
    twice = {line: count for line, count in runs.lines().items() if count > 1}
    return twice, [task for task in tasks if task["state"] not in ("succeeded", "interrupted")]


@pytest.mark.timeout(300)
async def test_fault_02_agent_and_server_killed_at_random_moments(make_scene: MakeScene) -> None:
    await killed_at_random(await make_scene(2), 5, seed=11)


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_fault_02_agent_and_server_killed_at_three_hundred_moments(
    make_scene: MakeScene, capsys: pytest.CaptureFixture[str], database_url: str
) -> None:
    said = await killed_at_random(await make_scene(4), 300, seed=12)
    with capsys.disabled():
        print(f"\n{database_url.partition('+')[0]}: {said}")
