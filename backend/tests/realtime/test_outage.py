"""The database goes away while agents come and go: nobody is cut off for it, and when it is back the rows are right."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from app.migrate import migrate
from app.realtime.registering import REGISTRATIONS_MAX
from app.settings import Settings
from deployx_protocol import events
from tests.support.machines import AgentPeer, Machine
from tests.support.node import Lines, RunningNode, eventually, serving
from tests.support.postgres import PostgresServer, throwaway
from tests.support.returning import Returning

AGENTS = 24
BACK_S = 10
WITHIN_S = 60
"""Where it is not the time that is tested: a machine that is busy with other tests is no failure."""


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that no other test uses."""
    with throwaway() as server:
        yield server


@contextlib.asynccontextmanager
async def _node(cluster: PostgresServer, folder: Path) -> AsyncIterator[RunningNode]:
    url = cluster.create_database()
    await migrate(url)
    async with serving(Settings(data_dir=folder, database_url=url, enrollment="approval")) as node:
        yield node
    cluster.drop_database(url)


async def _outage(node: RunningNode, cluster: PostgresServer, *, lasts_s: float, immediate: bool, seed: int) -> None:
    chance = random.Random(seed)
    present = [Returning(node.url) for _ in range(AGENTS)]
    gone: list[Machine] = []
    for peer in present:
        await peer.come()
    await _true(node, present, gone, within_s=BACK_S)
    stays = present[: AGENTS // 3]
    await asyncio.to_thread(cluster.stop, immediate=immediate)
    loop = asyncio.get_running_loop()
    until = loop.time() + lasts_s
    newcomers = 0
    while loop.time() < until:
        await asyncio.sleep(chance.random() * lasts_s / 20)
        match chance.randrange(3):
            case 0:
                comes = Returning(node.url)
                newcomers += 1
            case 1 if gone:
                comes = Returning(node.url, gone.pop())
            case _:
                leaver = chance.choice([peer for peer in present if peer not in stays])
                present.remove(leaver)
                await leaver.leave(chance.randrange(3))
                gone.append(leaver.machine)
                continue
        await comes.come()
        present.append(comes)
    async with httpx2.AsyncClient(base_url=node.url) as http:
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200
    assert all(peer.open for peer in present)
    assert newcomers
    refused = [code for peer in present for code in peer.refusals]
    assert refused
    assert set(refused) == {"server_unavailable"}
    cluster.start()  # in this thread: the kernel stops it when the thread that started it ends
    await _true(node, present, gone, within_s=BACK_S)
    assert all(peer.open for peer in stays)
    assert len({row.agent_id for row in await node.devices()}) == len(await node.devices())
    beat = present[0]
    assert (await beat.call(events.PING))["ok"]
    for peer in present:
        await peer.leave(2)
    await _true(node, [], [*gone, *(peer.machine for peer in present)], within_s=BACK_S)


async def _true(node: RunningNode, present: list[Returning], gone: list[Machine], *, within_s: float) -> None:
    """Until no row has a wrong status. Who came and went while the database was away may have no row at all."""
    online = {peer.machine.agent_id for peer in present}
    away = {machine.agent_id for machine in gone}

    async def is_true() -> bool:
        said = {row.agent_id: row.status for row in await node.devices()}
        here = {agent_id for agent_id, status in said.items() if status == "online"}
        return here == online and said.keys() <= online | away

    await eventually(is_true, within_s=within_s, what="a true status of every device")


@pytest.mark.serial
@pytest.mark.parametrize("immediate", [False, True], ids=["stopped", "crashed"])
async def test_fault_04_a_database_outage_leaves_no_wrong_status(
    immediate: bool, own_postgres: PostgresServer, tmp_path: Path, lines: Lines
) -> None:
    async with _node(own_postgres, tmp_path) as node:
        await _outage(node, own_postgres, lasts_s=4, immediate=immediate, seed=1)
    away = [line for line in lines() if "database.unavailable" in line]
    assert away  # the specification: "Database Error → Server logs error"
    assert all("[ERROR]" in line for line in away)
    assert len(away) < 10
    assert not [line for line in lines() if "Traceback" in line]


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.parametrize("immediate", [False, True], ids=["stopped", "crashed"])
async def test_fault_04_thirty_seconds(immediate: bool, own_postgres: PostgresServer, tmp_path: Path) -> None:
    async with _node(own_postgres, tmp_path) as node:
        await _outage(node, own_postgres, lasts_s=30, immediate=immediate, seed=2)


async def test_a_heartbeat_during_an_outage_is_not_lost(own_postgres: PostgresServer, tmp_path: Path) -> None:
    async with _node(own_postgres, tmp_path) as node:
        peer = AgentPeer(node.url)
        await peer.start()
        before = await node.device(peer.machine.agent_id)
        await asyncio.to_thread(own_postgres.stop, immediate=False)
        assert (await peer.call(events.PING))["ok"]
        own_postgres.start()

        async def seen() -> bool:
            row = await node.device(peer.machine.agent_id)
            return bool(row.last_seen and before.last_seen and row.last_seen > before.last_seen)

        await eventually(seen, within_s=WITHIN_S, what="last_seen")
        await peer.close()


async def test_a_registration_during_an_outage_is_answered_as_retryable(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    async with _node(own_postgres, tmp_path) as node:
        await asyncio.to_thread(own_postgres.stop, immediate=True)
        peer = AgentPeer(node.url)
        failure = await peer.refused()
        assert (failure["code"], failure["retryable"]) == ("server_unavailable", True)
        assert failure["agent_id"] == peer.machine.agent_id
        assert 0 < failure["retry_after_s"] <= 5
        for _ in range(REGISTRATIONS_MAX + 5):
            assert (await peer.register())[1]["code"] == "server_unavailable"
        assert peer.open
        own_postgres.start()
        await eventually(lambda: _registers(peer), within_s=WITHIN_S, what="a registration")
        await peer.close()


async def _registers(peer: AgentPeer) -> bool:
    return (await peer.register())[0] == events.REGISTRATION_SUCCESS
