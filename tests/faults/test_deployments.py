"""A deployment whose server is killed again and again, and some of its agents with it: it ends as one that nobody
disturbed, every device has what the server shows, and no task was begun twice.

The devices are simulated ones, in this process: what is in place on each is known, whatever the server thinks.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.sim.agent import Agent
from app.sim.http import AgentHttp
from app.sim.machine import Machine
from app.sim.witness import Witness
from deployx_protocol.tasks import FINAL
from tests.conftest import Operate, StartServer
from tests.support.node import eventually
from tests.support.releases import envelope, manifest
from tests.support.server_process import Operator, ServerProcess

DEVICES = 30
MANY = 200
OVER_S = 240.0
WORDS = "sim:seconds=0.6 sim:unhealthy=0.1 sim:failed=0.05"
STRATEGY = {
    "waves": ["10%", "50%", "100%"],
    "max_parallel": 12,
    "failure_threshold": "100",
    "attempts": 10,
}


class Crew:
    """Simulated agents of this process."""

    def __init__(self, server: ServerProcess, token: str, count: int, dice: random.Random) -> None:
        self.witness = Witness()
        self._http = AgentHttp(server.url)
        turn = asyncio.Semaphore(10)
        machines = (Machine.make("deployments", number) for number in range(4 * count))
        self.agents = [
            Agent(
                machine,
                server.url,
                token,
                http=self._http,
                witness=self.witness,
                turn=turn,
                dice=random.Random(dice.random()),
            )
            for machine in machines
            if machine.platform == "linux"
        ][:count]

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """They are there."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(agent.run()) for agent in self.agents]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
        await self._http.close()

    def has(self, name: str, sha256: str) -> set[str]:
        """The agents of the machines on which this version is in place."""
        return {
            agent.machine.agent_id for agent in self.agents if agent.machine.installed.get(name, [""])[-1:] == [sha256]
        }


async def disturbed(server: ServerProcess, crew: Crew, dice: random.Random, kills: int) -> None:
    """Kill the server so often, at random moments, and let agents restart meanwhile."""
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(0.05, 1.5))  # a moment, not a wait for anything
        for agent in dice.sample(crew.agents, 2):
            agent.restart()
        await server.kill()
        await server.start()


async def deployed(
    server: ServerProcess, operator: Operator, crew: Crew, dice: random.Random, kills: int, **changes: Any
) -> dict[str, Any]:
    """The deployment, when it is over."""
    step = {"command": ["true"], "timeout_s": 5}
    said = envelope(manifest("web", 1, description=WORDS, timeout_s=60.0, install=step, detect=step))
    release = await operator.ask("POST", "/releases", said)
    body = {"release": release["sha256"], "targets": {"selector": "*"}, "strategy": STRATEGY | changes}
    made = await operator.ask("POST", "/deployments", body)
    assert made["total"] == len(crew.agents)
    await disturbed(server, crew, dice, kills)

    async def over() -> bool:
        return bool((await operator.ask("GET", f"/deployments/{made['id']}"))["finished_at"])

    await eventually(over, within_s=OVER_S, what="the deployment's end")
    found: dict[str, Any] = await operator.ask("GET", f"/deployments/{made['id']}")
    return found


async def assert_as_it_is(operator: Operator, crew: Crew, view: dict[str, Any]) -> None:
    """What the server shows of each device is so, each task was begun once at most, and none is left."""
    targets = (await operator.ask("GET", f"/deployments/{view['id']}/targets", params={"limit": 500}))["items"]
    agents = {one["id"]: one["agent_id"] for one in await operator.devices()}
    shown = {agents[one["device_id"]] for one in targets if one["state"] == "succeeded"}
    assert shown == crew.has("web", view["release_sha256"])
    assert [id for id, seen in crew.witness.tasks.items() if seen.starts > 1] == []
    for run_id in filter(None, (view["run_id"], view["revert_run_id"])):
        tasks = (await operator.ask("GET", f"/runs/{run_id}/tasks", params={"limit": 500}))["items"]
        assert [task["id"] for task in tasks if task["state"] not in FINAL] == []
        assert {task["id"] for task in tasks if task["started_at"]} <= set(crew.witness.tasks)
    versions = [agent.machine.installed.get("web", []) for agent in crew.agents]
    assert all(len(set(version)) == len(version) for version in versions), "a version was put in place twice"


def sick(crew: Crew, words: str, sha256: str) -> set[str]:
    """The machines that the words of the release hit: what an undisturbed run leaves without it."""
    from app.sim.releases import _WORD, _Luck

    shares = {name: float(value) for name, value in _WORD.findall(words)}
    return {
        agent.machine.agent_id
        for agent in crew.agents
        if any(_Luck(agent.machine, sha256, shares).hits(word) for word in ("failed", "unhealthy", "unconfirmed"))
    }


async def story(
    database_url: str, start_server: StartServer, operate: Operate, *, count: int, kills: int, seed: str
) -> None:
    """One deployment to ``count`` devices through so many kills."""
    dice = random.Random(seed)
    server = await start_server(database_url, presence_grace=5)
    operator = await operate(server)
    crew = Crew(server, await operator.enrollment_token(max_uses=count), count, dice)
    async with crew.at_work():
        await operator.until(count, status="online", trust="trusted")
        view = await deployed(server, operator, crew, dice, kills)
        await assert_as_it_is(operator, crew, view)
        left = sick(crew, WORDS, view["release_sha256"])
        everyone = {agent.machine.agent_id for agent in crew.agents}
        assert crew.has("web", view["release_sha256"]) == everyone - left, "not as an undisturbed run ends"
        assert view["state"] == ("failed" if left else "succeeded")
        await operator.ask("POST", f"/deployments/{view['id']}/rollback", {"note": "all of it"})
        await disturbed(server, crew, dice, max(1, kills // 4))

        async def back() -> bool:
            now = await operator.ask("GET", f"/deployments/{view['id']}")
            return bool(now["state"] == "rolled_back")

        await eventually(back, within_s=OVER_S, what="the end of the rollback")
        assert crew.has("web", view["release_sha256"]) == set()
        await assert_as_it_is(operator, crew, await operator.ask("GET", f"/deployments/{view['id']}"))


@pytest.mark.timeout(600)
@pytest.mark.databases("sqlite")
async def test_fault_01_a_deployment_through_kills_of_its_server_ends_as_an_undisturbed_one(
    database_url: str, start_server: StartServer, operate: Operate
) -> None:
    await story(database_url, start_server, operate, count=DEVICES, kills=3, seed="short")


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_fault_01_a_deployment_through_a_hundred_kills(
    database_url: str, start_server: StartServer, operate: Operate
) -> None:
    await story(database_url, start_server, operate, count=MANY, kills=100, seed="long")
