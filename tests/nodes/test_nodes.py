"""Real agents of two real servers, of which one is killed, paused, cut off, or replaced: L = D = U = P = 0."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.realtime.notifications import CHANNEL
from app.settings import Settings
from deployx_protocol import events
from tests.conftest import WatchServer
from tests.nodes.conftest import GRACE_S, POLL_S, SHORT, MakeCluster
from tests.support.marked_runs import Figures, MarkedRuns
from tests.support.node import eventually

pytestmark = pytest.mark.timeout(600)
OFFLINE_S = 90.0


async def assert_done(runs: MarkedRuns, count: int) -> None:
    tasks = await runs.settled()
    assert [task["state"] for task in tasks] == ["succeeded"] * count, tasks
    assert runs.figures(tasks) == Figures()


async def test_fault_22_a_server_is_killed_while_a_run_goes_on(
    make_cluster: MakeCluster, watch_server: WatchServer, tmp_path: Path
) -> None:
    cluster = await make_cluster((2, 2), **SHORT)
    dying, left = cluster.servers
    runs = cluster.marked_runs(at=0)
    dashboard = await watch_server(left, cluster.operators[1].person.token, batch=True)
    gate = tmp_path / "gate"
    run = await runs.start(until=gate, output_bytes=1_000)
    assert (await dashboard.call(events.WATCH_RUN, {"run_id": run}))["ok"]

    async def all_run() -> bool:
        return all(task["state"] == "running" for task in await runs.tasks(run))

    await eventually(all_run, within_s=60, what="a task on every agent")
    await dying.kill()
    cluster.only(1)
    await cluster.fleet.kill(0)  # of its two agents one never comes back
    gate.touch()
    runs.operator = cluster.operators[1]
    operator = cluster.operators[1]
    [lost] = await operator.until(1, status="offline", within_s=GRACE_S + 60)
    assert lost["status_cause"] == "server_lost"
    await operator.until(3, status="online")
    [mine] = (await cluster.held()).values()
    assert len(mine) == 3
    await dashboard.change(id=lost["id"], status="offline")
    await cluster.fleet.start(0)
    await operator.until(4, status="online")
    tasks = await runs.settled()
    assert sorted(task["state"] for task in tasks) == ["interrupted", *["succeeded"] * 3]
    figures = runs.figures(tasks)
    assert (figures.D, figures.U) == (0, 0)
    await dashboard.payload(
        events.RUNS_CHANGED,
        where=lambda told: any(one["id"] == run and one["finished_at"] for one in told["runs"]),
    )


@pytest.mark.soak
async def test_fault_22_whoever_is_gone_with_a_server_is_offline_in_time(make_cluster: MakeCluster) -> None:
    """With lease and grace as they are by default; and the server that is lost is the one that looked after graces."""
    usual = Settings()
    cluster = await make_cluster((1, 0), node_lease=usual.node_lease_s, presence_grace=usual.presence_grace_s)
    assert "lease.taken" in cluster.servers[0].log
    await cluster.servers[0].kill()
    killed_at = time.monotonic()
    await cluster.fleet.kill(0)
    await cluster.operators[1].until(1, status="offline", status_cause="server_lost", within_s=GRACE_S + 60)
    assert time.monotonic() - killed_at <= OFFLINE_S


@pytest.mark.soak
async def test_fault_22_a_server_that_was_paused_past_its_lease_lets_go_of_what_others_have(
    make_cluster: MakeCluster,
) -> None:
    cluster = await make_cluster((2, 1), **SHORT)
    paused, left = cluster.servers
    operator = cluster.operators[1]
    cluster.only(1)
    os.kill(paused.pid, signal.SIGSTOP)
    try:
        [(ours, _)] = [(id, held) for id, held in (await cluster.held()).items() if len(held) == 1]

        async def all_moved() -> bool:  # by hearing nothing they find the other one
            return len((await cluster.held()).get(ours, [])) == 3

        await eventually(all_moved, within_s=GRACE_S + 60, what="all of them at the other server")

        async def given_up() -> bool:
            return "nodes.given_up" in left.log

        await eventually(given_up, within_s=GRACE_S + 60, what="the end of its grace")
        rows = [(row.id, row.session_epoch, row.node_id, row.rev) for row in await left.rows()]
        runs = cluster.marked_runs(at=1)
        await runs.start()
        await assert_done(runs, 3)
    finally:
        os.kill(paused.pid, signal.SIGCONT)
    await eventually(lambda: "node.was_given_up" in paused.log, within_s=60, what="its finding out")
    await cluster.know_each_other()
    again = cluster.marked_runs(at=0)
    await again.start()
    await assert_done(again, 3)
    assert [(row.id, row.session_epoch, row.node_id, row.rev) for row in await left.rows()] == rows
    assert {one["status"] for one in await operator.devices()} == {"online"}


@pytest.mark.parametrize("cut_s", [3, pytest.param(60, marks=pytest.mark.soak)])
async def test_fault_07_delivery_while_the_channel_is_cut_again_and_again(
    make_cluster: MakeCluster, cut_s: float
) -> None:
    cluster = await make_cluster((0, 2))
    stop = asyncio.Event()
    cuts = 0

    async def cut() -> None:
        nonlocal cuts
        listeners = sa.text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :n")
        while not stop.is_set():
            async with cluster.servers[0].db.read() as session:
                cuts += await session.scalar(listeners, {"n": "deployx-hints"}) or 0
            await asyncio.sleep(0.1)

    cutting = asyncio.create_task(cut())
    loop = asyncio.get_running_loop()
    end, count = loop.time() + cut_s, 0
    runs = cluster.marked_runs(at=0)
    slowest = 0.0
    while loop.time() < end or not count:
        begun = loop.time()
        await runs.start()
        count += 1
        await assert_done(runs, 2 * count)
        slowest = max(slowest, loop.time() - begun)
    stop.set()
    await cutting
    assert cuts
    assert slowest <= POLL_S + 5 + 10, "the poll finds it; ten seconds are for a machine that is busy"


async def test_threat_04_whoever_can_notify_starts_nothing(make_cluster: MakeCluster) -> None:
    cluster = await make_cluster((1, 0))
    [device] = await cluster.operators[0].devices()
    lies = [
        f'{{"sender":"liar","hints":[["{kind}",1,9,"",0,[{device["id"]}]]]}}'
        for kind in ("device_removed", "device_moved", "session_moved", "register_again", "tasks_waiting", "everything")
    ]
    before = [(row.id, row.session_epoch, row.rev) for row in await cluster.servers[0].rows()]
    async with cluster.servers[0].db.write() as session:
        for text in [*lies * 20, "rubbish", "{" * 3_000]:
            await session.execute(sa.select(sa.func.pg_notify(CHANNEL, text)))
    runs = cluster.marked_runs(at=1)
    await runs.start()
    await assert_done(runs, 1)
    assert [(row.id, row.session_epoch, row.rev) for row in await cluster.servers[0].rows()] == before
    assert "Traceback" not in cluster.servers[0].log


@pytest.mark.soak
async def test_servers_are_replaced_one_after_the_other_and_no_device_goes_offline(
    make_cluster: MakeCluster, watch_server: WatchServer
) -> None:
    cluster = await make_cluster((2, 2))
    ids = [row.id for row in await cluster.servers[0].rows()]
    runs = cluster.marked_runs(at=0)
    await runs.start(lasts_s=3.0)
    for number, other in ((0, 1), (1, 0)):
        cluster.only(other)  # as a balancer that asks `/readyz` would, a moment later
        dashboard = await watch_server(cluster.servers[other], cluster.operators[other].person.token, batch=True)
        stopping = asyncio.create_task(cluster.servers[number].stop())
        codes = set()
        while not stopping.done():
            codes.add(await cluster.ready(number))
            await asyncio.sleep(0.05)
        assert await stopping == 0
        assert 503 in codes, "it says that it leaves, and then goes"
        [held] = (await cluster.held()).values()
        assert len(held) == 4
        told = [payload for name, payload in dashboard.heard if name == events.DEVICES_CHANGED]
        assert {change["status"] for payload in told for change in payload["changes"]} <= {"online"}
        await cluster.servers[number].start()
        await cluster.know_each_other()
    runs.operator = cluster.operators[0]
    await assert_done(runs, 4)
    for device_id in ids:
        events_of = await cluster.servers[0].status_events(device_id)
        assert [event.status for event in events_of] == ["online"]
