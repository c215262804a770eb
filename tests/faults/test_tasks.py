"""Real server, real agents, killed again and again: no task lost, none run twice, none stuck (L = D = U = 0).

Each task appends a line to a file, by which its runs are counted, whatever anybody says about them.
"""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.fleet import Fleet
from tests.support.node import eventually
from tests.support.server_process import Operator, ServerProcess

AGENTS = range(2)
SETTLED_S = 90.0
OUTPUT_BYTES = 50_000
ENDS = {"succeeded", "interrupted"}


class Crashes:
    """A server, agents, runs on them, and the file that the runs write to."""

    def __init__(self, server: ServerProcess, operator: Operator, fleet: Fleet, folder: Path) -> None:
        self.server = server
        self.operator = operator
        self.fleet = fleet
        self.marker = folder / "marker"
        self.runs: list[str] = []

    async def run(self) -> None:
        """A run on all agents: a line, some output, a line."""
        start, end = (f"echo {word} $DEPLOYX_TASK_ID >> {self.marker}" for word in ("start", "end"))
        body = {
            "shell": f"{start}; head -c {OUTPUT_BYTES} /dev/zero; sleep 0.1; {end}",
            "targets": {"selector": "*"},
            "timeout_s": 60,
        }
        self.runs.append((await self.operator.ask("POST", "/runs", body))["id"])

    async def settled(self) -> list[dict[str, Any]]:
        """Every task, when each has an end and all of its output."""
        tasks: list[dict[str, Any]] = []

        async def over() -> bool:
            tasks[:] = [task for run in self.runs for task in await self._tasks(run)]
            return all(task["state"] in ENDS and task["output_complete"] for task in tasks)

        try:
            await eventually(over, within_s=SETTLED_S, what="every task over")
        except AssertionError:
            raise AssertionError(
                [task for task in tasks if task["state"] not in ENDS or not task["output_complete"]]
            ) from None
        return tasks

    async def _tasks(self, run: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.operator.ask("GET", f"/runs/{run}/tasks"))["items"]
        return found

    def check(self, tasks: list[dict[str, Any]]) -> dict[str, int]:
        """Hold what was reported to what was done; the three figures."""
        lines = Counter(self.marker.read_text().splitlines())
        for task in tasks:
            if task["state"] == "succeeded":
                assert (lines[f"start {task['id']}"], lines[f"end {task['id']}"]) == (1, 1), task
                assert task["output_bytes"] == OUTPUT_BYTES
        return {
            "L": len(self.runs) * len(AGENTS) - len(tasks),
            "D": sum(count - 1 for count in lines.values()),
            "U": sum(task["state"] not in ENDS for task in tasks),
        }


@pytest.fixture
async def crashes(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate, tmp_path: Path
) -> Crashes:
    server = await start_server(database_url)
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=len(AGENTS))
    fleet = make_fleet(server.url, enrollment_token=token)
    await fleet.start_all(AGENTS)
    await operator.until(len(AGENTS), status="online")
    return Crashes(server, operator, fleet, tmp_path)


async def _kill_at_random(crashes: Crashes, moments: int) -> None:
    dice = random.Random(11)
    for _ in range(moments):
        await crashes.run()
        await asyncio.sleep(dice.random() * 0.5)  # the moment is what is tried
        number = dice.choice([None, *AGENTS])
        if number is None:
            await crashes.server.kill()
            await crashes.server.start()
        else:
            await crashes.fleet.kill(number)
            await crashes.fleet.start(number)
    tasks = await crashes.settled()
    assert len(tasks) == moments * len(AGENTS)
    assert crashes.check(tasks) == {"L": 0, "D": 0, "U": 0}
    assert any(task["state"] == "succeeded" for task in tasks)


@pytest.mark.timeout(300)
async def test_fault_02_agent_and_server_killed_at_random_moments(crashes: Crashes) -> None:
    await _kill_at_random(crashes, 6)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_fault_02_agent_and_server_killed_at_three_hundred_moments(crashes: Crashes) -> None:
    await _kill_at_random(crashes, 300)
