"""Two servers on one PostgreSQL: one of them runs the deployments, whichever its devices and its people are at."""

import pytest

from app.accounts.permissions import Role
from tests.support.machines import Machine
from tests.support.node import Serve, eventually
from tests.support.peers import Peer
from tests.support.rollouts import release_row
from tests.support.server import Browse, MakePerson
from tests.support.work import WorkPeer, trust

pytestmark = pytest.mark.databases("postgresql")


async def test_a_deployment_goes_on_whichever_server_people_and_devices_are_at(
    serve: Serve, browse: Browse, person: MakePerson, peers: list[Peer]
) -> None:
    ada = await person("ada@example.test", Role.ADMIN)
    nodes = [await serve(enrollment="approval"), await serve(enrollment="approval")]
    async with nodes[0].db.write() as session:
        session.add(release_row())
    machines = [Machine(), Machine()]
    agents: list[WorkPeer] = []
    for node, machine in zip(nodes, machines, strict=True):
        first = WorkPeer(node.url, machine)
        await first.start(platform="linux", facts={"releases": "1"})
        await first.close()
        await node.status(machine.agent_id, "offline")
        await trust(node.db, machine.agent_id)
        agent = WorkPeer(node.url, machine)
        peers.append(agent)
        await agent.start(platform="linux", facts={"releases": "1"})
        agents.append(agent)
    clients = [browse(node, ada.bearer) for node in nodes]
    body = {"release": "web@1.0", "targets": {"selector": "*"}}
    answer = await clients[1].post("/api/v1/deployments", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["total"] == 2, answer.text
    for agent in agents:
        [task] = await agent.assigned()
        assert task["release"]["action"] == "install"
        await agent.report(task["task_id"], "running", phase="installing")
        await agent.report(task["task_id"], "succeeded", exit_code=0, outcome="installed")

    async def over() -> bool:
        states = {
            (await client.get(f"/api/v1/deployments/{answer.json()['id']}")).json()["state"] for client in clients
        }
        return states == {"succeeded"}

    await eventually(over, within_s=30.0, what="the deployment's end, seen at both")
