"""Two servers, each a process of its own, on one PostgreSQL, behind a balancer; agents that know its address alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import MakeFleet, Operate, keep_log
from tests.support.balancer import Balancer, balancing
from tests.support.fleet import Fleet
from tests.support.marked_runs import MarkedRuns
from tests.support.node import eventually
from tests.support.server_process import START_S, Operator, ServerProcess
from tests.support.zygote import Zygotes

LEASE_S = 20.0
"""Long, where no server is meant to be lost: a machine may be busy with other tests."""
SHORT = {"node_lease": 2.0, "presence_grace": 10.0}
"""Where one is."""
GRACE_S = 60.0
POLL_S = 1.0


class Cluster:
    """Two servers and agents. ``operators`` has somebody at each server."""

    def __init__(self, servers: list[ServerProcess], balancer: Balancer, fleet: Fleet, folder: Path) -> None:
        self.servers = servers
        self.balancer = balancer
        self.fleet = fleet
        self.operators: list[Operator] = []
        self._folder = folder

    def only(self, *numbers: int) -> None:
        """New connections go to these servers alone."""
        self.balancer.ports = [self.servers[number].port for number in numbers]

    async def agents(self, first: int, last: int, at: int) -> None:
        """Agents of these numbers, connected to one of the servers."""
        self.only(at)
        await self.fleet.start_all(range(first, last))

    def marked_runs(self, at: int) -> MarkedRuns:
        """Runs that somebody starts at one of the servers."""
        folder = self._folder / f"runs-{at}"
        folder.mkdir(exist_ok=True)
        return MarkedRuns(self.operators[at], folder)

    async def know_each_other(self, count: int = 2) -> None:
        """Each of them sees so many leases that are good."""

        async def does(operator: Operator) -> bool:
            answer = await operator.client.get(f"{operator.server.url}/metrics")
            return f"deployx_nodes {float(count)}" in answer.text

        for operator in self.operators:
            await eventually(lambda operator=operator: does(operator), within_s=START_S, what=f"{count} leases")

    async def held(self) -> dict[str, list[str]]:
        """Node id → agent ids of those that are online by its word."""
        found: dict[str, list[str]] = {}
        for row in await self.servers[0].rows():
            if row.status == "online":
                found.setdefault(row.node_id or "", []).append(row.agent_id)
        return found

    async def ready(self, number: int) -> int:
        """What `/readyz` of a server says; 0 when it does not answer."""
        try:
            async with httpx2.AsyncClient(base_url=self.servers[number].url, trust_env=False, timeout=5) as client:
                return (await client.get("/readyz")).status_code
        except httpx2.TransportError:
            return 0


MakeCluster = Callable[..., Awaitable[Cluster]]


@pytest.fixture
async def make_cluster(
    request: pytest.FixtureRequest,
    postgres_url: str,
    zygotes: Zygotes,
    make_fleet: MakeFleet,
    operate: Operate,
    tmp_path: Path,
) -> AsyncIterator[MakeCluster]:
    """``await make_cluster(agents=(2, 2))``: two servers, and so many agents at each of them."""
    started: list[ServerProcess] = []

    async with balancing() as balancer:

        async def make(agents: tuple[int, int] = (1, 1), *, url: str = "", **settings: Any) -> Cluster:
            often = {"node_lease": LEASE_S, "presence_grace": GRACE_S, "poll_interval": POLL_S, "drain": 3}
            for number in range(2):
                folder = tmp_path / f"server-{number}"
                folder.mkdir()
                server = ServerProcess(
                    folder,
                    url or postgres_url,
                    zygotes.of("server"),
                    **often | {"public_url": balancer.url, "secret_key": "0123456789abcdef" * 2} | settings,
                )
                keep_log(request.node, f"server {number}", lambda server=server: server.log)  # type: ignore[misc]
                started.append(server)
                await server.start()
            fleet = make_fleet(balancer.url, reconnect_delay=0.1, connect_timeout=3, pong_timeout=5)
            cluster = Cluster(started, balancer, fleet, tmp_path)
            cluster.operators = [await operate(server) for server in started]
            token = await cluster.operators[0].enrollment_token(max_uses=20, origin=balancer.url)
            fleet.settings["enrollment_token"] = token
            await cluster.know_each_other()
            await cluster.agents(0, agents[0], at=0)
            await cluster.agents(agents[0], sum(agents), at=1)
            cluster.only(0, 1)
            return cluster

        yield make
        for server in started:
            await server.tidy()
