"""What the tests of crashes share: a server and agents on its database, to be killed and started again."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from deployx_agent.connection.machine import State
from deployx_agent.state import status
from tests.conftest import MakeFleet, Operate, StartServer
from tests.support import crash_points
from tests.support.fleet import Fleet
from tests.support.marked_runs import MarkedRuns
from tests.support.node import eventually
from tests.support.server_process import DEADLINE_S, Operator, ServerProcess


class Scene:
    """A server, some agents of it that each do one task at a time, and someone who starts runs on all of them."""

    def __init__(self, server: ServerProcess, operator: Operator, fleet: Fleet, agents: range, folder: Path) -> None:
        self.server = server
        self.operator = operator
        self.fleet = fleet
        self.agents = agents
        self._folder = folder

    def marked_runs(self, name: str) -> MarkedRuns:
        """Runs that write to files of their own."""
        folder = self._folder / name
        folder.mkdir()
        return MarkedRuns(self.operator, folder)

    async def arm_server(self, label: str) -> None:
        """The server is killed, and the next one will die at this point."""
        await self.server.kill()
        await self.server.start(sys.executable, crash_points.PROGRAM, "server", label)

    async def arm_agent(self, label: str, number: int = 0) -> None:
        """The agent is killed, and the next one will die at this point."""
        if number in self.fleet.running:
            await self.fleet.kill(number)
        await self.fleet.start(number, "agent", label, "run", program=(crash_points.PROGRAM,))

    async def restore(self) -> None:
        """All of them run again, whatever has happened."""
        await self.server.tidy()
        await self.fleet.tidy()
        await self.server.start()
        await self.fleet.start_all(self.agents)

    async def ready(self) -> None:
        """Wait until every agent listens, by what it says of itself: the server may not have missed it yet."""

        def are_ready() -> bool:
            said = {number: status.read(self.fleet.state_dir(number)) for number in self.fleet.running}
            return all(
                (said[number].get("pid"), said[number].get("state")) == (agent.process.pid, State.ACTIVE)
                for number, agent in self.fleet.running.items()
            )

        await eventually(are_ready, within_s=DEADLINE_S, what="every agent ready")


MakeScene = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def make_scene(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate, tmp_path: Path
) -> MakeScene:
    """``await make_scene(agents=2)``."""

    async def make(agents: int = 1) -> Scene:
        server = await start_server(database_url)
        operator = await operate(server)
        token = await operator.enrollment_token(max_uses=agents)
        fleet = make_fleet(server.url, enrollment_token=token, tasks_parallel=1, reconnect_delay=0.1)
        await fleet.start_all(range(agents))
        await operator.until(agents, status="online")
        return Scene(server, operator, fleet, range(agents), tmp_path)

    return make
