"""Devices that get releases while everything is killed: simulated agents of this process, and real ones beside them.

What is in place on each is known, whatever the server thinks: of a simulated one from its machine, of a real one from
its folder, where the steps of ``software`` also write down under which task they began and ended. From that come the
figures that crashes are judged by. **L**: a device on which something else is than the server shows, or a task that it
shows as begun and nobody was given. **D**: an install that one task began twice, a version that was put in place twice.
**U**: a task or a target that is not over in the end.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from app.sim.agent import Agent
from app.sim.http import AgentHttp
from app.sim.machine import Machine
from app.sim.releases import Luck, words_of
from app.sim.witness import Witness
from deployx_protocol.deployments import SETTLED
from deployx_protocol.releases import Manifest
from deployx_protocol.tasks import FINAL
from tests.support.fleet import Fleet
from tests.support.marked_runs import Figures
from tests.support.releases import manifest
from tests.support.server_process import Operator

SICK = "sick"
"""A real agent with a file of this name in its folder is not well with anything."""
_HERE = r"here=$(pwd | grep -o '^.*/agent-[0-9]*')"
_SICK_WORDS = ("failed", "unhealthy", "unconfirmed")


def software(number: int, words: str, lasts_s: float) -> Manifest:
    """Version ``number`` of what is installed. ``words``: what simulated machines do with it; on real ones it is a file
    that takes ``lasts_s`` to be written, and is not there in between."""

    def step(shell: str) -> dict[str, Any]:
        return {"shell": f"{_HERE}; {shell}", "timeout_s": 60}

    install = (
        f'echo "begin $DEPLOYX_TASK_ID" >> "$here/marks"; rm -f "$here/web"; sleep {lasts_s}; '
        f'echo {number} > "$here/web"; echo "end $DEPLOYX_TASK_ID" >> "$here/marks"'
    )
    return manifest(
        "web",
        number,
        description=words,
        timeout_s=300.0,
        install=step(install),
        detect=step(f'grep -qx {number} "$here/web"'),
        uninstall=step('rm -f "$here/web"'),
        health={"check": step(f'test ! -e "$here/{SICK}"'), "within_s": 0.2, "interval_s": 0.1},
    )


class Crew:
    """``count`` simulated agents, and those of ``fleet`` that ``hire`` starts."""

    def __init__(self, url: str, token: str, count: int, dice: random.Random, fleet: Fleet | None = None) -> None:
        self.witness = Witness()
        self.dice = dice
        self.fleet = fleet
        self.real: list[int] = []
        self._ids: dict[int, str] = {}
        self._http = AgentHttp(url)
        turn = asyncio.Semaphore(10)
        machines = (Machine.make("deployments", number) for number in range(4 * count))
        self.agents = [
            Agent(
                machine,
                url,
                token,
                http=self._http,
                witness=self.witness,
                turn=turn,
                dice=random.Random(dice.random()),
            )
            for machine in machines
            if machine.platform == "linux"
        ][:count]

    def __len__(self) -> int:
        return len(self.agents) + len(self.real)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """The simulated ones are there."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(agent.run()) for agent in self.agents]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
        await self._http.close()

    async def hire(self, operator: Operator, count: int, sick: Iterable[int] = ()) -> None:
        """So many real ones, some of which nothing is healthy on."""
        assert self.fleet
        self.real = list(range(count))
        await self.fleet.start_all(self.real)
        for number in sick:
            (self._folder(number) / SICK).touch()
        rows = {row.machine_id: row.agent_id for row in await operator.server.rows()}
        self._ids = {number: rows[self.fleet.machine_id(number)] for number in self.real}

    # ------------------------------------------------------------ what befalls them

    async def restart_some(self, simulated: int, real: int) -> None:
        """kill -9 of so many; each is started again at once. Of the real ones every other is one that is at work."""
        for agent in self.dice.sample(self.agents, min(simulated, len(self.agents))):
            agent.restart()
        if not (self.fleet and self.real):
            return
        chosen = set(self.dice.sample(self.real, real))
        busy = [number for number in self.real if self._is_busy(number)]
        if busy and self.dice.random() < 0.5:
            chosen.add(self.dice.choice(busy))
        await self.fleet.kill(*chosen)
        for number in chosen:
            await self.fleet.start(number)

    def _is_busy(self, number: int) -> bool:
        lines = self._marks(number)
        return bool(lines) and lines[-1].startswith("begin")

    # ------------------------------------------------------------ what is so

    def _folder(self, number: int) -> Path:
        assert self.fleet
        return self.fleet.state_dir(number)

    def _marks(self, number: int) -> list[str]:
        file = self._folder(number) / "marks"
        return file.read_text().splitlines() if file.exists() else []

    def everyone(self) -> set[str]:
        """All agents."""
        return {agent.machine.agent_id for agent in self.agents} | set(self._ids.values())

    def has(self, number: int, sha256: str) -> set[str]:
        """The agents of the machines on which this version is in place."""
        simulated = {
            agent.machine.agent_id for agent in self.agents if agent.machine.installed.get("web", [""])[-1:] == [sha256]
        }
        files = {self._ids[one]: self._folder(one) / "web" for one in self.real}
        return simulated | {id for id, file in files.items() if file.exists() and file.read_text() == f"{number}\n"}

    def sick(self, words: str, sha256: str) -> set[str]:
        """Those that an undisturbed deployment leaves without it."""
        shares = words_of(words)
        simulated = {
            agent.machine.agent_id
            for agent in self.agents
            if any(Luck(agent.machine, sha256, shares).hits(word) for word in _SICK_WORDS)
        }
        return simulated | {id for number, id in self._ids.items() if (self._folder(number) / SICK).exists()}

    async def figures(self, operator: Operator, view: dict[str, Any], number: int) -> Figures:
        """What the server shows of the deployment ``view`` of version ``number``, held to what is so."""
        targets = (await operator.ask("GET", f"/deployments/{view['id']}/targets", params={"limit": 500}))["items"]
        agents = {one["id"]: one["agent_id"] for one in await operator.devices()}
        shown = {agents[one["device_id"]] for one in targets if one["state"] == "succeeded"}
        tasks: list[dict[str, Any]] = []
        for run_id in filter(None, (view["run_id"], view["revert_run_id"])):
            tasks += (await operator.ask("GET", f"/runs/{run_id}/tasks", params={"limit": 500}))["items"]
        marks = Counter(line for one in self.real for line in self._marks(one))
        simulated = {agent.machine.agent_id for agent in self.agents}
        known = {task["id"] for task in tasks if task["started_at"] and agents[task["device_id"]] in simulated}
        placed = [agent.machine.installed.get("web", []) for agent in self.agents]
        return Figures(
            L=len(shown ^ self.has(number, view["release_sha256"])) + len(known - set(self.witness.tasks)),
            D=sum(seen.starts - 1 for seen in self.witness.tasks.values() if seen.starts > 1)
            + sum(count - 1 for line, count in marks.items() if line.startswith("begin"))
            + sum(len(versions) - len(set(versions)) for versions in placed),
            U=sum(task["state"] not in FINAL for task in tasks) + sum(one["state"] not in SETTLED for one in targets),
        )
