"""Two servers on one PostgreSQL: what happens at one is known at the other, and each device has one connection."""

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import utcnow
from app.db import Database, connections_of
from app.devices.models import Device, Node, Probe
from app.errors import Unavailable
from deployx_protocol import events
from deployx_protocol.states import Trust
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.node import RunningNode, eventually
from tests.support.pairs import Channels, Pair, node_id
from tests.support.peers import Peer, Watch
from tests.support.server import Browse, MakePerson
from tests.support.work import Api, WorkPeer, in_state, trust

pytestmark = pytest.mark.databases("postgresql")


async def held_by(node: RunningNode, agent_id: str) -> str | None:
    return (await node.device(agent_id)).node_id


async def test_a_device_that_registers_elsewhere_is_let_go(
    pair: Pair, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    first, second = await pair()
    before = agent(first)
    await before.start()
    dashboard = await watch(second, await person(), batch=True)
    after = agent(second, before.machine, boot_id=before.boot_id)
    await after.start()
    ended = await before.payload(events.SESSION_ENDED)
    assert ended["code"] == "superseded"
    await before.ended()
    assert await held_by(first, after.machine.agent_id) == node_id(second)
    assert (await after.call(events.PING))["ok"]
    row = await first.device(after.machine.agent_id)
    assert [event.status for event in await first.status_events(row.id)] == ["online"], "it was never away"
    assert (await dashboard.snapshot())[row.id]["status"] == "online"


async def test_fault_12_two_copies_at_two_servers_are_both_quarantined(pair: Pair, agent: MakeAgent) -> None:
    first, second = await pair()
    original = agent(first)
    await original.start()
    await trust(first.db, original.machine.agent_id)
    copy = agent(second, original.machine.clone())
    assert (await copy.start())["trust"] == Trust.QUARANTINED
    await original.payload(events.REGISTRATION_REQUIRED)
    assert [(claim.kind, claim.state) for claim in await first.claims()] == [("cloned", "open")]
    assert await held_by(first, original.machine.agent_id) == node_id(first)
    async with first.db.read() as session:
        assert (await session.scalars(sa.select(Probe))).all() == []


async def test_who_comes_back_as_another_process_takes_over_from_a_server_that_does_not_answer(
    pair: Pair, agent: MakeAgent
) -> None:
    """The lease of the other server is good, but it is gone: nobody answers for its connection."""
    _, node = await pair()
    machine = Machine()
    first = agent(node, machine)
    await first.start()
    await first.close()
    row = await node.status(machine.agent_id, "offline")
    async with node.db.write() as session:
        later = sa.func.clock_timestamp() + sa.text("interval '1 minute'")
        session.add(Node(id="silent", started_at=row.created_at, lease_expires_at=row.created_at))
        await session.flush()
        await session.execute(sa.update(Node).where(Node.id == "silent").values(lease_expires_at=later))
        await session.execute(sa.update(Device).values(status="online", node_id="silent"))
    await eventually(lambda: "silent" in node.app.state.live_nodes(), within_s=60)
    second = agent(node, machine)
    await second.start()
    assert await held_by(node, machine.agent_id) == node_id(node)


async def test_news_of_one_server_is_told_at_the_other(
    pair: Pair, peers: list[Peer], watch: Watch, person: MakePerson, browse: Browse
) -> None:
    first, second = await pair(poll_interval_s=60)
    ada = await person()
    here, there = Api(browse(first, ada.bearer)), browse(second, ada.bearer)
    worker = WorkPeer(second.url, Machine())
    peers.append(worker)
    dashboards = [await watch(node, ada, batch=True) for node in (first, second)]
    await worker.start()
    for dashboard in dashboards:
        await dashboard.change(agent_id=worker.machine.agent_id, status="online")
    device_id = (await first.device(worker.machine.agent_id)).id
    await here.accept(device_id)
    await worker.payload(events.REGISTRATION_REQUIRED)
    assert (await worker.register())[1]["trust"] == Trust.TRUSTED

    run_id = await here.start([device_id])
    for dashboard in dashboards:
        assert (await dashboard.call(events.WATCH_RUN, {"run_id": run_id}))["ok"]
    [task] = await worker.assigned()
    await worker.report(task["task_id"], "running")
    for dashboard in dashboards:
        await dashboard.payload(
            events.TASKS_CHANGED, where=lambda told: any(one["state"] == "running" for one in told["tasks"])
        )
    await here.cancel(task["task_id"])
    assert (await worker.payload(events.TASK_CANCEL))["task_ids"] == [task["task_id"]]
    await worker.report(task["task_id"], "cancelled")
    answer = await there.get(f"/api/v1/runs/{run_id}", params={"wait_s": 10})
    assert answer.json()["finished_at"]
    for dashboard in dashboards:
        await dashboard.payload(events.RUNS_CHANGED, where=lambda told: any(run["finished_at"] for run in told["runs"]))
    await worker.close()
    for dashboard in dashboards:
        await dashboard.change(id=device_id, status="offline")


async def test_fault_07_without_a_channel_everything_is_found_within_a_poll_interval(
    channels: Channels, pair: Pair, peers: list[Peer], watch: Watch, person: MakePerson, browse: Browse
) -> None:
    channels.is_cut = True
    first, second = await pair()
    ada = await person()
    here = Api(browse(first, ada.bearer))
    worker = WorkPeer(second.url, Machine())
    peers.append(worker)
    dashboard = await watch(first, ada, batch=True)
    plain = await watch(first, ada)
    await worker.start()
    agent_id = worker.machine.agent_id
    device_id = (await first.device(agent_id)).id
    await eventually(lambda: heard_of(dashboard, device_id), what="the newcomer on a dashboard")
    await plain.change(agent_id=agent_id, status="online")
    await here.accept(device_id)
    await worker.payload(events.REGISTRATION_REQUIRED)
    await worker.register()
    run_id = await here.start([device_id])
    assert (await dashboard.call(events.WATCH_RUN, {"run_id": run_id}))["ok"]
    [task] = await worker.assigned()
    await worker.report(task["task_id"], "running")
    await dashboard.payload(
        events.TASKS_CHANGED, where=lambda told: any(one["state"] == "running" for one in told["tasks"])
    )
    await here.cancel(task["task_id"])
    assert (await worker.payload(events.TASK_CANCEL))["task_ids"] == [task["task_id"]]
    await worker.report(task["task_id"], "cancelled")
    await in_state(first.db, task["task_id"], "cancelled")
    await dashboard.payload(events.RUNS_CHANGED, where=lambda told: any(run["finished_at"] for run in told["runs"]))
    elsewhere = AgentPeer(first.url, worker.machine, boot_id=worker.boot_id)
    peers.append(elsewhere)
    await elsewhere.start()
    assert await held_by(first, agent_id) == node_id(first)
    await elsewhere.close()
    await plain.change(agent_id=agent_id, status="offline")


def heard_of(dashboard: Peer, device_id: int) -> bool:
    """By a change, or by a snapshot that was not asked for."""
    pieces = [payload for name, payload in dashboard.heard if name in (events.DEVICES_CHANGED, events.SNAPSHOT_DEVICES)]
    return any(device["id"] == device_id for piece in pieces for device in piece["devices"])


async def test_who_waits_for_the_answer_to_a_claim_is_seen_at_every_server(
    pair: Pair, agent: MakeAgent, watch: Watch, person: MakePerson, browse: Browse
) -> None:
    first, second = await pair()
    ada = await person()
    holder = agent(first)
    await holder.start()
    impostor = agent(second, Machine(hostname="impostor", machine_id=holder.machine.machine_id))
    dashboard = await watch(first, ada, batch=True)
    await impostor.start()
    # once both have found each other all is shown again, which may be what was before
    shown = await dashboard.payload(events.CLAIMS_CHANGED, where=lambda told: bool(told["claims"]))
    assert [claim["connected"] for claim in shown["claims"]] == [True]
    other = agent(first, impostor.machine)  # another process with the same key, at the other server
    await other.start()
    assert len(await first.claims()) == 2
    await other.close()
    await impostor.close()
    await dashboard.payload(
        events.CLAIMS_CHANGED, where=lambda told: not any(claim["connected"] for claim in told["claims"])
    )


async def test_a_claim_that_is_answered_at_one_server_is_heard_at_the_other(
    channels: Channels, pair: Pair, agent: MakeAgent, person: MakePerson, browse: Browse
) -> None:
    channels.is_cut = True
    first, second = await pair()
    holder = agent(first)
    await holder.start()
    claimant = agent(second, Machine(hostname="claimant", machine_id=holder.machine.machine_id))
    await claimant.start()
    [claim] = await first.claims()
    answer = await browse(first, (await person()).bearer).post(f"/api/v1/claims/{claim.id}/accept", json={})
    assert answer.is_success, answer.text
    await claimant.payload(events.REGISTRATION_REQUIRED)
    assert (await claimant.register())[1]["trust"] == Trust.TRUSTED


async def test_fault_22_what_a_lost_server_has_locked_is_let_go(pair: Pair, postgres_url: str) -> None:
    node, _ = await pair(node_lease_s=1.5)
    lost = Database(postgres_url, pool_size=1, name=connections_of("lost"))
    async with node.db.write() as session:
        past = sa.func.clock_timestamp() - sa.text("interval '1 minute'")
        session.add(Node(id="lost", started_at=utcnow(), lease_expires_at=utcnow()))
        await session.flush()
        await session.execute(sa.update(Node).where(Node.id == "lost").values(lease_expires_at=past))
    with pytest.raises(Unavailable):
        async with lost.write() as session:
            await session.execute(sa.select(Node).where(Node.id == "lost").with_for_update())
            await eventually(lambda: _was_cut(session), within_s=60, what="the end of its connection")
    await lost.close()


async def _was_cut(session: AsyncSession) -> bool:
    await session.execute(sa.text("SELECT 1"))
    return False
