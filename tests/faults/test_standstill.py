"""The server's machine stands still, for longer than a pong may take: whoever answered meanwhile is not cut off."""

import asyncio
import contextlib
import os
import signal

from tests.conftest import StartServer
from tests.support import rows
from tests.support.crowd import register_as
from tests.support.rawlink import RawLink

AGENTS = range(1, 21)
PING_INTERVAL_S = 0.5
PING_TIMEOUT_S = 3.0


async def test_fault_10_a_server_that_stood_still_loses_nobody(sqlite_url: str, start_server: StartServer) -> None:
    server = await start_server(
        sqlite_url,
        enrollment="approval",
        anonymous_max=len(AGENTS),
        ping_interval=PING_INTERVAL_S,
        ping_timeout=PING_TIMEOUT_S,
    )
    async with server.db.write() as session:
        session.add_all(rows.device(number, public_key=None, trust="unverified") for number in AGENTS)
    async with contextlib.AsyncExitStack() as stack:
        links = [await stack.enter_async_context(RawLink.connected(server.url)) for _ in AGENTS]
        await asyncio.gather(*(register_as(link, number) for number, link in zip(AGENTS, links, strict=True)))
        await asyncio.gather(*(link.pinged() for link in links))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for link in links:
                await link.pong()
            await asyncio.sleep(PING_INTERVAL_S + PING_TIMEOUT_S)  # not to wait for something: this is the standstill
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await asyncio.gather(*(link.alive() for link in links)) == [True] * len(links)
        events = [event for row in await server.rows() for event in await server.status_events(row.id)]
        assert {event.cause for event in events} == {"registered"}
