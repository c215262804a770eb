"""The database's disk is full while agents come and go: nothing is said to be saved that was not, nobody is cut off."""

import os
from collections.abc import Iterator

import httpx2
import pytest

from deployx_protocol import events
from tests.conftest import Operate, StartServer
from tests.support.node import eventually
from tests.support.postgres import PostgresServer
from tests.support.returning import Returning
from tests.support.server_process import Operator, ServerProcess
from tests.support.small_disk import LimitedProcess, SmallDisk, mounted

RIGHT_AGAIN_S = 10.0
TRIES = 60
SIZE_MIB = 40
MOUNTS = os.geteuid() == 0
"""Only root may mount a disk; everyone may limit a process, and under root the long runs do that as well."""
WAYS = ["small_sqlite", "small_postgres", pytest.param("limited", marks=pytest.mark.soak)] if MOUNTS else ["limited"]


@pytest.fixture
def small_sqlite() -> Iterator[tuple[str, SmallDisk]]:
    """A place for SQLite's file, and the disk it is on."""
    with mounted(SIZE_MIB) as disk:
        yield f"sqlite+aiosqlite:///{disk.folder / 'deployx.db'}", disk


@pytest.fixture
def small_postgres(postgres_server: PostgresServer) -> Iterator[tuple[str, SmallDisk]]:
    """A PostgreSQL database, and the disk it is on."""
    with mounted(SIZE_MIB) as disk, postgres_server.tablespace(disk.folder) as tablespace:
        url = postgres_server.create_database(tablespace)
        yield url, disk
        postgres_server.drop_database(url)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.serial
async def test_fault_05_the_databases_disk_is_full(
    way: str, request: pytest.FixtureRequest, sqlite_url: str, start_server: StartServer, operate: Operate
) -> None:
    url, disk = (sqlite_url, None) if way == "limited" else request.getfixturevalue(way)
    server = await start_server(url, enrollment="approval")
    disk = disk or LimitedProcess(server.pid, server.log_file.parent)
    operator = await operate(server)
    stays, silent, leaves, goes_and_comes = present = [Returning(server.url) for _ in range(4)]
    for peer in present:
        await peer.come()
    await operator.until(4, status="online")

    disk.fill()
    saved = await _until_refused(operator)
    assert (await stays.call(events.PING))["ok"]
    await leaves.leave(1)
    await silent.leave(0)
    await goes_and_comes.leave(0)
    comes_again = Returning(server.url, goes_and_comes.machine)
    await comes_again.come()
    newcomers = await _come_until_refused(server)
    known = 4 + sum(peer.registered for peer in newcomers)
    assert len(await operator.devices()) == known  # what needs no room still works
    saved += await _until_refused(operator)
    assert all(peer.open for peer in (stays, comes_again, *newcomers))

    disk.empty()
    online = {peer.machine.agent_id for peer in (stays, comes_again, *newcomers)}

    async def right() -> bool:
        return {one["agent_id"] for one in await operator.devices() if one["status"] == "online"} == online

    await eventually(right, within_s=RIGHT_AGAIN_S, what="a true status of every device")
    assert len({row.agent_id for row in await server.rows()}) == len(await server.rows()) == 4 + len(newcomers)
    assert stays.open
    tokens = (await operator.ask("GET", "/enrollment-tokens"))["items"]
    assert sorted(one["name"] for one in tokens) == sorted(saved)
    await operator.enrollment_token()
    assert "Traceback" not in server.log
    assert "database.unavailable" in server.log
    for peer in (stays, comes_again, *newcomers):
        await peer.leave(2)
    await operator.until(4 + len(newcomers), within_s=RIGHT_AGAIN_S, status="offline")


async def _come_until_refused(server: ServerProcess) -> list[Returning]:
    """Ever new agents, until there is no room for one; it is told to try again."""
    come: list[Returning] = []
    while not any(peer.refusals for peer in come):
        assert len(come) < TRIES, "all of them fit on a full disk"
        peer = Returning(server.url)
        come.append(peer)
        await peer.come()
        await eventually(lambda peer=peer: peer.registered or peer.refusals, what="an answer")
    assert set(come[-1].refusals) == {"server_unavailable"}
    return come


async def _until_refused(operator: Operator) -> list[str]:
    """Change something until there is no room for it; the names of what was said to be saved."""
    saved: list[str] = []
    for number in range(TRIES):
        name = f"{number}-{os.urandom(4).hex()}"
        answer = await operator.client.post("/enrollment-tokens", json={"name": name, "max_uses": 1})
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            problem = answer.json()
            assert problem["code"] == "unavailable"
            assert answer.headers["retry-after"]
            return saved
        assert answer.status_code == httpx2.codes.CREATED, answer.text
        saved.append(name)
    raise AssertionError(f"{TRIES} changes fit on a full disk")
