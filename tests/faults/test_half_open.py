"""A thousand connections that begin and do not go on: the agents beside them do not notice.

What else this machine does is felt by everybody on it. So their latencies are compared with those of the agents of
another server, which has no such guests, at the same time. On a busy machine a p99 is made of the few moments in which
one of both servers was not let run, and all its agents wait for the same moment. So where the first seconds show a
difference, more are added, and all of them count: what the guests cost they cost all the time.
"""

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import rows
from tests.support.crowd import register_as
from tests.support.halfopen import HalfOpen
from tests.support.memory import forget_peak, resident_mib
from tests.support.node import eventually
from tests.support.rawlink import RawLink
from tests.support.server_process import ServerProcess

AGENTS = range(1, 21)
HALF_OPEN = 1_000
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 21)]
ONE_ADDRESS = ["127.0.2.1"]
ANONYMOUS_MAX = 60
DEADLINE_S = 10.0
"""The server's own, for a request, for a registration."""
GROWTH_MIB = 64
MEDIAN_FLOOR_S, P99_FLOOR_S = 0.01, 0.05
"""Below these a median or a p99 says more about this machine than about the server."""
BEATS_PER_S = 10
ROUND_S = 4.0
"""Short enough that the guests of a round stay until its end."""
ROUNDS_MAX = 8


class Agents:
    """Registered agents that ping without a pause."""

    def __init__(self, links: Sequence[RawLink]) -> None:
        self._links = links

    async def latencies(self, for_s: float) -> list[float]:
        """How long each pong took, in seconds, over so long a time."""
        until = asyncio.get_running_loop().time() + for_s
        each = await asyncio.gather(*(self._beat(link, until) for link in self._links))
        return [took for one in each for took in one]

    async def _beat(self, link: RawLink, until: float) -> list[float]:
        loop = asyncio.get_running_loop()
        took: list[float] = []
        while loop.time() < until:
            began = loop.time()
            assert await link.alive()
            took.append(loop.time() - began)
            await asyncio.sleep(1 / BEATS_PER_S)
        return took


@dataclass
class Place:
    """A server, and its agents."""

    server: ServerProcess
    agents: Agents


@contextlib.asynccontextmanager
async def place(server: ServerProcess) -> AsyncIterator[Place]:
    """The server, once it knows the agents and they are registered."""
    async with server.db.write() as session:
        session.add_all(rows.device(number, public_key=None, trust="unverified") for number in AGENTS)
    async with contextlib.AsyncExitStack() as stack:
        links = [await stack.enter_async_context(RawLink.connected(server.url)) for _ in AGENTS]
        await asyncio.gather(*(register_as(link, number) for number, link in zip(AGENTS, links, strict=True)))
        yield Place(server, Agents(links))


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[tuple[Place, Place]]:
    """The one that is to be visited, and the one that is left in peace."""
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for name in ("visited", "peace"):
            folder = tmp_path / name
            folder.mkdir()
            url = f"sqlite+aiosqlite:///{folder / 'deployx.db'}"
            server = ServerProcess(folder, url, enrollment="approval", anonymous_max=ANONYMOUS_MAX)
            stack.push_async_callback(server.tidy)
            servers.append(server)
        await asyncio.gather(*(server.start() for server in servers))
        visited, peace = [await stack.enter_async_context(place(server)) for server in servers]
        yield visited, peace


@contextlib.asynccontextmanager
async def half_open(server: ServerProcess, addresses: Sequence[str]) -> AsyncIterator[HalfOpen]:
    crowd = HalfOpen(server.port, addresses)
    try:
        yield crowd
    finally:
        await crowd.close()


class Comparison:
    """All that was measured here and there."""

    def __init__(self, visited: Agents, peace: Agents) -> None:
        self._visited = visited
        self._peace = peace
        self._here: list[float] = []
        self._there: list[float] = []

    async def go_on(self, for_s: float) -> None:
        """Measure both over the same time, beside what was measured before."""
        here, there = await asyncio.gather(self._visited.latencies(for_s), self._peace.latencies(for_s))
        self._here += here
        self._there += there

    def slower(self) -> str:
        """In what the visited are twice as slow as those that are left in peace, or more; nothing if in nothing."""
        p99_here_s, p99_there_s = (statistics.quantiles(all_s, n=100)[98] for all_s in (self._here, self._there))
        median_here_s, median_there_s = statistics.median(self._here), statistics.median(self._there)
        found = []
        if p99_here_s >= 2 * max(p99_there_s, P99_FLOOR_S):
            found.append(f"p99 {p99_here_s:.3f} s instead of {p99_there_s:.3f} s")
        if median_here_s >= 2 * max(median_there_s, MEDIAN_FLOOR_S):
            found.append(f"median {median_here_s:.3f} s instead of {median_there_s:.3f} s")
        return ", ".join(found)


async def assert_not_slower(visited: Place, peace: Place, crowd: HalfOpen) -> None:
    """Less than twice the latencies of those that are left in peace, while a thousand are held."""
    compared = Comparison(visited.agents, peace.agents)
    for _ in range(ROUNDS_MAX):
        await crowd.fill(HALF_OPEN)
        await compared.go_on(ROUND_S)
        assert crowd.open_now > HALF_OPEN * 0.9, "nothing was proved about so many"
        if not compared.slower():
            return
    raise AssertionError(compared.slower())


async def assert_one_address_cannot_hold_many(server: ServerProcess) -> None:
    """Though it opens ever so many, few are left long before their deadline, and another address comes in."""
    async with half_open(server, ONE_ADDRESS) as crowd:
        await crowd.fill(HALF_OPEN)

        def few_are_left() -> bool:
            return crowd.open_now <= ANONYMOUS_MAX * 2  # those that owe a request, and those that owe a registration

        await eventually(few_are_left, within_s=5, what="the cap")
        assert min(crowd.ended) < DEADLINE_S / 2
        async with RawLink.connected(server.url) as other:  # from an address of its own
            assert await other.alive()


@pytest.mark.serial
async def test_fault_18_agents_do_not_notice_a_thousand_half_open_connections(places: tuple[Place, Place]) -> None:
    visited, peace = places
    server = visited.server
    await visited.agents.latencies(0.5)
    resident = resident_mib(server.pid)
    async with half_open(server, ADDRESSES) as crowd:
        await assert_not_slower(visited, peace, crowd)
        await assert_one_address_cannot_hold_many(server)
        assert await visited.agents.latencies(0.5)
        await eventually(lambda: not crowd.open_now, within_s=DEADLINE_S + 10, what="an end of each")
        assert max(crowd.ended) < DEADLINE_S + 5
    assert resident_mib(server.pid, peak=True) - resident < GROWTH_MIB


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.timeout(300)
async def test_fault_18_for_a_minute_and_from_new_connections_all_the_time(places: tuple[Place, Place]) -> None:
    visited, peace = places
    server = visited.server
    await visited.agents.latencies(0.5)
    forget_peak(server.pid)
    resident = resident_mib(server.pid)
    async with half_open(server, ADDRESSES) as crowd, asyncio.TaskGroup() as group:

        async def refill() -> None:
            while True:
                await crowd.fill(HALF_OPEN)
                await asyncio.sleep(0.1)

        filling = group.create_task(refill())
        compared = Comparison(visited.agents, peace.agents)
        await compared.go_on(60)
        assert not compared.slower()
        filling.cancel()
    assert crowd.opened > HALF_OPEN * 4
    assert resident_mib(server.pid, peak=True) - resident < GROWTH_MIB
