"""kill -9 of the server and of the agent at every labelled point of a task's path (``tests/support/crash_points.py``).

After each: L = D = U = 0, the task has ended as it has to after that point, and no process of it is left.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from deployx_agent.tasks import journal
from tests.faults.conftest import MakeScene, Scene
from tests.support.crash_points import AGENT, SERVER, Deed, Point
from tests.support.left_over import left_over
from tests.support.marked_runs import Figures, MarkedRuns
from tests.support.node import eventually

OUTPUT_BYTES = 300_000
"""More than goes over the link, so that some of it is posted."""
SPOOLED_BYTES = 2_000
"""More than an agent holds in memory: it has a file until the task is closed."""
LASTS_S = 0.3
"""Longer than what an agent does not tell of: some points are reached only by a receipt."""
SAMPLE_SERVER = ("run: committed, before the 202", "claim: committed, before it is sent", "end: before the commit")
SAMPLE_AGENT = (
    "received: journalled, before the receipt",
    "start: behind the latch, before the journal",
    "start: the latch is open",
    "ended: journalled, before it is said",
)
TRIAL_S = 600
Capsys = pytest.CaptureFixture[str]


class Trial:
    """One point: what is done, who dies, who comes after, and what has to be true then."""

    def __init__(self, scene: Scene, side: str, label: str, number: int) -> None:
        self.scene = scene
        self.table: Mapping[str, Point] = SERVER if side == "server" else AGENT
        self.side = side
        self.label = label
        self.point = self.table[label]
        self.runs: MarkedRuns = scene.marked_runs(f"{side}-{number}")
        self.gate = Path(self.runs.folder / "gate")
        self.first = ""

    async def run(self) -> None:
        """Raises AssertionError, TimeoutError."""
        begun: asyncio.Task[str] | None = None
        for label in [self.point.after, self.label] if self.point.after else [self.label]:
            if begun is None:
                await self._prepare(label)
                begun = asyncio.create_task(self._begin())
            else:
                await self._arm(label)
            await self._dead(label)
        await self._revive()
        if self.point.deed is not Deed.CANCEL:
            self.gate.touch()
        assert begun is not None
        first = await begun
        await self._judge(first)

    async def _arm(self, label: str) -> None:
        await (self.scene.arm_server(label) if self.side == "server" else self.scene.arm_agent(label))

    async def _prepare(self, label: str) -> None:
        if self.point.deed is Deed.EXPIRE:
            await self.scene.fleet.kill(0)
        if self.point.deed is Deed.FORGET:
            self.first = await self.runs.start(until=self.gate)
            await self.runs.in_state(self.first, "running")
            await self.scene.fleet.kill(0)
            (self.scene.fleet.state_dir(0) / "tasks" / journal.FILE).unlink()
        await self._arm(label)
        if self.point.deed is Deed.FORGET:
            await self.scene.fleet.start(0)

    async def _begin(self) -> str:
        """Do what is to be done when the process dies, and go on until it is done; the first run."""
        if self.point.deed is Deed.FORGET:
            return self.first
        if self.point.deed is Deed.EXPIRE:
            return await self.runs.start(expires_s=1)
        holds = self.point.holds or self.point.deed is Deed.CANCEL
        until = self.gate if holds else ""
        first = await self.runs.start(output_bytes=OUTPUT_BYTES, until=until, lasts_s=LASTS_S)
        await self.runs.start(output_bytes=SPOOLED_BYTES)
        if self.point.deed is Deed.CANCEL:
            task = await self.runs.in_state(first, "running", "cancelled")
            await self.runs.insist("POST", f"/tasks/{task['id']}/cancel", or_conflict=True)
        return first

    async def _dead(self, label: str) -> None:
        server, agents = self.scene.server, self.scene.fleet.running
        code = await (server.ended(TRIAL_S) if self.side == "server" else agents.pop(0).end(within_s=TRIAL_S))
        assert code == -9, f"{label}: it ended with {code}"

    async def _revive(self) -> None:
        if self.side == "server":
            await self.scene.server.start()
        if 0 not in self.scene.fleet.running:
            await self.scene.fleet.start(0)

    async def _judge(self, first: str) -> None:
        tasks = await self.runs.settled()
        figures = self.runs.figures(tasks, may_be_lost="lost" in self.point.ends)
        assert figures == Figures(), f"{figures} {tasks}"
        states = {task["run_id"]: task["state"] for task in tasks}
        assert states.pop(first) in self.point.ends, tasks
        behind = {"succeeded"} if self.side == "server" else {"succeeded", "interrupted"}
        assert set(states.values()) <= behind, tasks
        ids = {task["id"] for task in tasks}
        await eventually(lambda: not left_over(ids), what="the end of every process")
        # An agent that is killed before tells of it again, and may be at the next point too early.
        spools = self.scene.fleet.state_dir(0) / "tasks"
        await eventually(lambda: not list(spools.glob("*.out")), what="the agent to have closed what is over")


async def killed_at_each(scene: Scene, side: str, labels: Collection[str], capsys: Capsys | None = None) -> None:
    """Try one point after the other; all that failed are named in the end. With ``capsys`` each is named at once."""
    failed: dict[str, str] = {}
    for number, label in enumerate(labels):
        began = time.monotonic()
        try:
            async with asyncio.timeout(TRIAL_S):
                await Trial(scene, side, label, number).run()
        except (AssertionError, TimeoutError) as error:
            failed[label] = f"{type(error).__name__}: {error}"[:2_000]
            await scene.restore()
        if capsys:
            with capsys.disabled():
                print(
                    f"\n{side}: {label}: {failed.get(label, 'L = D = U = 0')}, {time.monotonic() - began:.1f} s", end=""
                )
    assert not failed, "\n".join(f"{label}: {why}" for label, why in failed.items())


@pytest.mark.timeout(600)
async def test_fault_02_killed_at_a_point(make_scene: MakeScene) -> None:
    scene = await make_scene()
    await killed_at_each(scene, "server", SAMPLE_SERVER)
    await killed_at_each(scene, "agent", SAMPLE_AGENT)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("side", ["server", "agent"])
async def test_fault_02_killed_at_every_point(make_scene: MakeScene, side: str, capsys: Capsys) -> None:
    await killed_at_each(await make_scene(), side, SERVER if side == "server" else AGENT, capsys)
