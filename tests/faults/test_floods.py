"""Peers that send too much, too large and too often: what all of them cost a server stays bounded.

Those that ask for much and do not read it are in ``test_stalled.py``, those that do not even begin in
``test_half_open.py``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx2

from deployx_protocol import limits
from tests.conftest import StartServer
from tests.support import rows
from tests.support.crowd import register_as
from tests.support.memory import forget_peak, resident_mib
from tests.support.node import eventually
from tests.support.rawlink import RawLink
from tests.support.server_process import ServerProcess
from tests.support.stalled import held

AGENTS, DASHBOARDS = "/socket.io/", "/ui/socket.io/"
ANONYMOUS_MAX = 10
PEERS = 5
GROWTH_MIB = 64
LARGE = "x" * (4 << 20)
FULL = "x" * (limits.AGENT_MESSAGE_MAX_BYTES - 100)


async def too_often(link: RawLink, number: int) -> None:
    """A registered agent asks on and on, and waits for no answer."""
    await register_as(link, number)
    for _ in range(1_000):
        await link.send('420["ping",{}]')


async def too_large(server: ServerProcess, path: str) -> None:
    """One message that no server has to take."""
    async with RawLink.opened(server.url, path) as link:
        await link.send(f'42["agent_register","{LARGE}"]')
        assert await link.event_or_end() is None


async def full_and_unknown(server: ServerProcess, path: str) -> None:
    """Messages as long as they may be, of no use to anyone, over and over."""
    async with RawLink.opened(server.url, path) as link:
        await link.send("40")
        for _ in range(50):
            await link.send(f'42["no_such_event","{FULL}"]')


async def endless_body(http: httpx2.AsyncClient, path: str) -> None:
    """A request that goes on for longer than any may."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield LARGE[: 1 << 17].encode()

    with contextlib.suppress(httpx2.TransportError):  # the server need not read to the end
        answer = await http.post(path, content=body(), headers={"content-type": "application/json"})
        assert answer.status_code in (401, 413, 422)


async def test_threat_20_floods_cost_a_server_a_bounded_amount_of_memory(
    sqlite_url: str, start_server: StartServer
) -> None:
    server = await start_server(sqlite_url, forked=False, enrollment="approval", anonymous_max=ANONYMOUS_MAX)
    async with server.db.write() as session:
        session.add_all(rows.device(n, public_key=None, trust="unverified") for n in range(1, PEERS + 2))
    async with contextlib.AsyncExitStack() as stack:
        steady = await stack.enter_async_context(RawLink.connected(server.url))
        await register_as(steady, PEERS + 1)
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=server.url, verify=False, timeout=60))
        assert (await http.get("/healthz")).is_success
        connections = held(server.port)
        forget_peak(server.pid)
        before = resident_mib(server.pid)
        async with contextlib.AsyncExitStack() as rude:
            links = [await rude.enter_async_context(RawLink.connected(server.url)) for _ in range(PEERS)]
            await asyncio.gather(*(too_often(link, number) for number, link in enumerate(links, 1)))
            assert await steady.alive()
        for path in (AGENTS, DASHBOARDS):
            await asyncio.gather(*(too_large(server, path) for _ in range(PEERS)))
            await asyncio.gather(*(full_and_unknown(server, path) for _ in range(PEERS)))
        for address in ("/api/v1/auth/login", "/api/agent/v1/tasks/00000000-0000-7000-8000-000000000000/output"):
            await asyncio.gather(*(endless_body(http, address) for _ in range(PEERS)))
        assert await steady.alive()
        await eventually(lambda: held(server.port) <= connections + PEERS, within_s=30, what="the end of all of them")
        assert resident_mib(server.pid, peak=True) - before < GROWTH_MIB
