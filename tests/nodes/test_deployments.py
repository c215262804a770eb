"""The server that runs the deployments dies, or is paused past its lease, in the middle of one: the other goes on with
it, nothing is started twice, and it ends as it would have."""

import os
import random
import signal
from typing import Any

import pytest
import sqlalchemy as sa

from app.deployments.models import DeploymentDecision, DeploymentTarget
from app.tasks.models import Task
from tests.nodes.conftest import SHORT, Cluster, MakeCluster
from tests.support.crew import Crew, software
from tests.support.marked_runs import Figures
from tests.support.node import eventually
from tests.support.releases import envelope
from tests.support.server_process import Operator, ServerProcess

pytestmark = pytest.mark.timeout(900)

WORDS = "sim:seconds=0.4 sim:unhealthy=0.1"
WITHIN_S = 300.0
MANY = {"node_lease": 6.0, "presence_grace": 20.0}
"""With a hundred devices, which keep a machine busy."""


async def leading(cluster: Cluster) -> int:
    """Which of the two servers runs deployments."""

    def one() -> list[int]:
        return [number for number, server in enumerate(cluster.servers) if _leads(server)]

    found: list[int] = await eventually(one, within_s=WITHIN_S, what="a server that runs deployments")
    return found[0]


def _leads(server: ServerProcess) -> bool:
    said = [line for line in server.log.splitlines() if "lease=deployments" in line]
    return bool(said) and "lease.taken" in said[-1]


async def hired(cluster: Cluster, simulated: int, real: int) -> Crew:
    """Devices that know the balancer alone; ``at_work`` brings the simulated ones."""
    token = await cluster.operators[0].enrollment_token(max_uses=simulated + real, origin=cluster.balancer.url)
    cluster.fleet.settings["enrollment_token"] = token
    crew = Crew(cluster.balancer.url, token, simulated, random.Random("nodes"), cluster.fleet)
    if real:
        await crew.hire(cluster.operators[0], real, sick=[0])
    return crew


async def begun(operator: Operator, crew: Crew) -> dict[str, Any]:
    """A deployment to all of them, in its second wave; only a few are in flight at once."""
    await operator.until(len(crew), status="online", trust="trusted")
    made = await operator.ask("POST", "/releases", envelope(software(1, WORDS, lasts_s=0.4)))
    strategy = {"waves": ["10%", "100%"], "max_parallel": max(2, len(crew) // 10), "failure_threshold": "100"}
    body = {"release": made["sha256"], "targets": {"selector": "*"}, "strategy": strategy | {"attempts": 10}}
    view: dict[str, Any] = await operator.ask("POST", "/deployments", body)

    async def in_the_middle() -> bool:
        counts = (await operator.ask("GET", f"/deployments/{view['id']}"))["counts"]
        return bool(counts.get("succeeded", 0) >= len(crew) // 4)

    await eventually(in_the_middle, within_s=WITHIN_S, what="the second wave")
    return view


async def assert_ends_as_it_should(operator: Operator, crew: Crew, id: str) -> None:
    view: dict[str, Any] = {}

    async def over() -> bool:
        view.update(await operator.ask("GET", f"/deployments/{id}"))
        return bool(view["finished_at"])

    await eventually(over, within_s=WITHIN_S, what="the deployment's end")
    figures = await crew.figures(operator, view, 1)
    print(f"{len(crew)} devices, {len(crew.real)} real: {figures}, {view['counts']}")
    left = crew.sick(WORDS, view["release_sha256"])
    assert figures == Figures()
    assert crew.has(1, view["release_sha256"]) == crew.everyone() - left
    assert view["state"] == ("failed" if left else "succeeded")


@pytest.mark.parametrize(("simulated", "real"), [(20, 0), pytest.param(80, 20, marks=pytest.mark.soak)])
async def test_fault_22_the_server_that_runs_deployments_is_killed(
    make_cluster: MakeCluster, simulated: int, real: int
) -> None:
    cluster = await make_cluster((0, 0), **(MANY if real else SHORT))
    leader = await leading(cluster)
    other = cluster.operators[1 - leader]
    crew = await hired(cluster, simulated, real)
    async with crew.at_work():
        view = await begun(other, crew)
        await cluster.servers[leader].kill()
        await eventually(lambda: _leads(other.server), within_s=WITHIN_S, what="the other one's lease")
        await assert_ends_as_it_should(other, crew, view["id"])


@pytest.mark.soak
@pytest.mark.parametrize(("simulated", "real"), [(20, 0), (80, 20)])
async def test_fault_22_the_server_that_runs_deployments_is_paused_past_its_lease(
    make_cluster: MakeCluster, simulated: int, real: int
) -> None:
    cluster = await make_cluster((0, 0), **(MANY if real else SHORT))
    leader = await leading(cluster)
    paused, other = cluster.servers[leader], cluster.operators[1 - leader]
    cluster.only(1 - leader)
    crew = await hired(cluster, simulated, real)
    async with crew.at_work():
        view = await begun(other, crew)
        os.kill(paused.pid, signal.SIGSTOP)
        try:
            await eventually(lambda: _leads(other.server), within_s=WITHIN_S, what="the other one's lease")
            await assert_ends_as_it_should(other, crew, view["id"])
            before = await written(other.server)
        finally:
            os.kill(paused.pid, signal.SIGCONT)
        await eventually(lambda: not _leads(paused), within_s=WITHIN_S, what="its finding out")
        await cluster.know_each_other()
        assert await written(other.server) == before, "it has written nothing that it had begun"
        assert await crew.figures(other, await other.ask("GET", f"/deployments/{view['id']}"), 1) == Figures()


async def written(server: ServerProcess) -> list[Any]:
    """All that a deployment is."""
    async with server.db.read() as session:
        tasks = await session.execute(sa.select(Task.id, Task.state, Task.rev).order_by(Task.id))
        targets = await session.execute(
            sa.select(DeploymentTarget.id, DeploymentTarget.state, DeploymentTarget.task_id).order_by(
                DeploymentTarget.id
            )
        )
        decisions = await session.execute(sa.select(DeploymentDecision.id).order_by(DeploymentDecision.id))
        return [*tasks, *targets, *decisions]
