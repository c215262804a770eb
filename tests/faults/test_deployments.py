"""A deployment whose server is killed again and again, and some of its agents with it: it ends as one that nobody
disturbed, every device has what the server shows, and no task was begun twice.

Most devices are simulated ones, in this process; the long tests have twenty real agents among two hundred.
"""

import asyncio
import random
from typing import Any

import pytest

from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.crew import Crew, software
from tests.support.fleet import Fleet
from tests.support.marked_runs import Figures
from tests.support.node import eventually
from tests.support.releases import envelope
from tests.support.server_process import Operator, ServerProcess

DEVICES = 30
MANY = 200
REAL = 20
SICK = (3, 11)
OVER_S = 600.0
WORDS = "sim:seconds=0.6 sim:unhealthy=0.1 sim:failed=0.05"
STRATEGY: dict[str, Any] = {
    "waves": ["10%", "50%", "100%"],
    "max_parallel": 12,
    "failure_threshold": "100",
    "attempts": 10,
    "order": "random",
    "order_seed": 7,
}


class Story:
    """One deployment to ``count`` devices, ``real`` of them real agents."""

    def __init__(self, server: ServerProcess, operator: Operator, crew: Crew) -> None:
        self.server = server
        self.operator = operator
        self.crew = crew
        self.kills = 0

    async def now(self, id: str) -> dict[str, Any]:
        """The deployment."""
        found: dict[str, Any] = await self.operator.ask("GET", f"/deployments/{id}")
        return found

    async def disturbed(self, id: str, kills: int, states: set[str], settled: set[str]) -> None:
        """Kill the server so often while the deployment is in one of ``states``, each time some agents with it, at
        random moments all along its way: each when as many more of its targets are in one of ``settled``."""
        for kill in range(kills):
            least = (len(self.crew) - STRATEGY["max_parallel"]) * kill // kills

            async def far_enough(least: int = least) -> bool:
                view = await self.now(id)
                done = sum(count for state, count in view["counts"].items() if state in settled)
                return done >= least or view["state"] not in states

            await eventually(far_enough, within_s=OVER_S, what=f"{least} devices done")
            await asyncio.sleep(self.crew.dice.uniform(0.0, 0.7))  # a moment, not a wait for anything
            self.kills += (await self.now(id))["state"] in states
            await self.server.kill()
            await self.crew.restart_some(2, 1)
            await self.server.start()

    async def ended(self, id: str, *states: str) -> dict[str, Any]:
        """The deployment, when it is in one of these states."""

        async def over() -> bool:
            return (await self.now(id))["state"] in states

        await eventually(over, within_s=OVER_S, what=f"the deployment {' or '.join(states)}")
        return await self.now(id)

    async def told(self, kills: int) -> None:
        """From its start through so many kills to its end, and back."""
        operator, crew = self.operator, self.crew
        release = await operator.ask("POST", "/releases", envelope(software(1, WORDS, lasts_s=0.6)))
        body = {"release": release["sha256"], "targets": {"selector": "*"}, "strategy": STRATEGY}
        made = await operator.ask("POST", "/deployments", body)
        assert made["total"] == len(crew)
        await self.disturbed(made["id"], kills, {"running"}, {"succeeded", "failed", "rolled_back"})
        view = await self.ended(made["id"], "succeeded", "failed")
        left = crew.sick(WORDS, release["sha256"])
        figures = await crew.figures(operator, view, 1)
        print(f"{len(crew)} devices, {len(crew.real)} real, {self.kills} kills on the way: {figures}, {view['counts']}")
        assert figures == Figures()
        assert crew.has(1, release["sha256"]) == crew.everyone() - left, "not as an undisturbed run ends"
        assert view["state"] == ("failed" if left else "succeeded")
        await operator.ask("POST", f"/deployments/{view['id']}/rollback", {"note": "all of it"})
        forth = self.kills
        await self.disturbed(view["id"], max(1, kills // 4), {"rolling_back"}, {"rolled_back"})
        view = await self.ended(view["id"], "rolled_back")
        assert crew.has(1, release["sha256"]) == set()
        figures = await crew.figures(operator, view, 1)
        print(f"{self.kills - forth} kills on the way back: {figures}, {view['counts']}")
        assert figures == Figures()


async def story(
    database_url: str,
    start_server: StartServer,
    operate: Operate,
    *,
    simulated: int,
    kills: int,
    seed: str,
    make_fleet: MakeFleet | None = None,
) -> None:
    """With real agents if ``make_fleet`` is given."""
    dice = random.Random(seed)
    server = await start_server(database_url, presence_grace=5)
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=MANY)
    fleet: Fleet | None = make_fleet(server.url, enrollment_token=token) if make_fleet else None
    crew = Crew(server.url, token, simulated, dice, fleet)
    async with crew.at_work():
        if fleet:
            await crew.hire(operator, REAL, SICK)
        await operator.until(len(crew), status="online", trust="trusted")
        await Story(server, operator, crew).told(kills)


@pytest.mark.timeout(600)
@pytest.mark.databases("sqlite")
async def test_fault_01_a_deployment_through_kills_of_its_server_ends_as_an_undisturbed_one(
    database_url: str, start_server: StartServer, operate: Operate
) -> None:
    await story(database_url, start_server, operate, simulated=DEVICES, kills=3, seed="short")


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_fault_01_a_deployment_through_a_hundred_kills(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    await story(
        *(database_url, start_server, operate), simulated=MANY - REAL, kills=100, seed="long", make_fleet=make_fleet
    )
