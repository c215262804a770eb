"""What the tests of crashes share: a server and agents on its database, to be killed and started again."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deployx_agent.connection.machine import State
from deployx_agent.state import status
from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.fleet import Fleet
from tests.support.marked_runs import MarkedRuns
from tests.support.node import eventually
from tests.support.proxy import Proxy
from tests.support.server_process import START_S, Operator, ServerProcess


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
        await self.server.start(label)

    async def arm_agent(self, label: str, number: int = 0) -> None:
        """The agent is killed, and the next one will die at this point."""
        if number in self.fleet.running:
            await self.fleet.kill(number)
        await self.fleet.start(number, label=label)

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

        await eventually(are_ready, within_s=START_S, what="every agent ready")


MakeScene = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def make_scene(
    database_url: str,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    tmp_path: Path,
) -> MakeScene:
    """``await make_scene(agents=2, url=…, proxy=…, ping_interval=1)``: on this database, or on the one at ``url``."""

    async def make(agents: int = 1, *, url: str = "", proxy: Proxy | None = None, **settings: Any) -> Scene:
        if proxy:
            settings["public_url"] = proxy.url
        server = await start_server(url or database_url, **settings)
        operator = await operate(server)
        token = await operator.enrollment_token(max_uses=agents, origin=proxy.url if proxy else None)
        of_agents: dict[str, Any] = {"enrollment_token": token, "tasks_parallel": 1, "reconnect_delay": 0.1}
        if proxy:
            proxy.server_port = server.port
            of_agents |= {"connect_timeout": 1, "pong_timeout": 2}
        fleet = make_fleet(None if proxy else server.url, **of_agents)
        await fleet.start_all(range(agents))
        await operator.until(agents, status="online")
        return Scene(server, operator, fleet, range(agents), tmp_path)

    return make
