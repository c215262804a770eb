"""PostgreSQL is restarted, or a standby takes over, under two real servers with real agents: L = D = U = P = 0.

All the while somebody starts runs at both servers, so each moment is one at which something was just promised.
"""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.nodes.conftest import Cluster, MakeCluster
from tests.support import postgres
from tests.support.marked_runs import Figures
from tests.support.node import eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
RUNS_EVERY_S = 0.2
BACK_S = 60.0
"""Half a minute for commands that are under way and never answered, and as long for a machine that is busy."""


@pytest.fixture
def own_postgres() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL that this test alone may stop."""
    with postgres.throwaway() as server:
        yield server


@contextlib.asynccontextmanager
async def under_work(cluster: Cluster) -> AsyncIterator[None]:
    """Runs are started at both servers until the block ends; then all that was promised is there, and done once."""
    places = [cluster.marked_runs(at=0), cluster.marked_runs(at=1)]
    count, stop = 0, asyncio.Event()

    async def start_runs() -> None:
        nonlocal count
        for runs in itertools.cycle(places):
            await runs.start()
            count += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RUNS_EVERY_S)
            if stop.is_set():
                return

    working = asyncio.create_task(start_runs())
    await eventually(lambda: count >= 2 or working.done(), within_s=60, what="runs at both servers")
    yield
    before = count
    await eventually(lambda: count >= before + 2 or working.done(), within_s=BACK_S, what="runs at both servers again")
    stop.set()
    await working
    for runs in places:
        tasks = await runs.settled()
        assert {task["state"] for task in tasks} == {"succeeded"}, tasks
        assert runs.figures(tasks) == Figures()
    for operator in cluster.operators:
        await operator.until(2, status="online")
    for agent in cluster.fleet.running.values():
        assert agent.log.count("Connecting to server...") == 1, "it had nothing to do with it"


async def test_fault_04_postgresql_is_restarted_under_two_servers(
    own_postgres: postgres.PostgresServer, make_cluster: MakeCluster
) -> None:
    cluster = await make_cluster((1, 1), url=own_postgres.create_database())
    for crash in (True, False, True):
        async with under_work(cluster):
            await asyncio.to_thread(own_postgres.stop, immediate=crash)
            await asyncio.to_thread(own_postgres.start)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_fault_04_a_standby_takes_over_from_a_postgresql_that_is_gone(
    own_postgres: postgres.PostgresServer, make_cluster: MakeCluster, how: signal.Signals
) -> None:
    """It ends, or it is there and answers nothing. Nobody changes any setting of the servers."""
    url = own_postgres.create_database()
    with own_postgres.standby() as other:
        name = url.rpartition("/")[2]
        both = f"host=127.0.0.1:{own_postgres.port}&host=127.0.0.1:{other.port}"
        cluster = await make_cluster((1, 1), url=f"postgresql+asyncpg://postgres@/{name}?{both}")
        try:
            async with under_work(cluster):
                own_postgres.end(how)
                await asyncio.to_thread(other.promote)
        finally:
            if how == signal.SIGSTOP:
                own_postgres.end(signal.SIGKILL)
