"""Fixtures of the whole-system tests: real servers and agents, ended and reaped whatever the test did.

When a test fails, the end of each process's log stands in its report. The fixtures are for tests with an event loop of
their own; the context managers behind them, for whoever shares one. What they start is forked from a process that has
loaded it (``zygote.py``), unless a test says ``forked=False``: because it looks at the start, or at memory.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import people
from tests.support.fleet import Fleet
from tests.support.peers import DashboardPeer
from tests.support.server import Person
from tests.support.server_process import ADMIN, Operator, ServerProcess
from tests.support.zygote import Zygotes

LOG_LINES = 60
_LOGS = pytest.StashKey[list[tuple[str, Callable[[], str]]]]()

StartServer = Callable[..., Awaitable[ServerProcess]]
MakeFleet = Callable[..., Fleet]
Operate = Callable[..., Awaitable[Operator]]
WatchServer = Callable[..., Awaitable[DashboardPeer]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Attach the logs of what the test started, once it failed."""
    report = yield
    if report.when != "teardown" and report.failed:
        for name, read in item.stash.get(_LOGS, []):
            report.sections.append((f"log of {name}", "\n".join(read().splitlines()[-LOG_LINES:])))
    return report


def keep_log(item: pytest.Item, name: str, read: Callable[[], str]) -> None:
    """The report of this test will have the end of what ``read`` returns, if the test fails."""
    item.stash.setdefault(_LOGS, []).append((name, read))


@contextlib.asynccontextmanager
async def servers(item: pytest.Item, folder: Path, zygotes: Zygotes) -> AsyncIterator[StartServer]:
    """A function that starts servers for this test; they end with the block."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(database_url: str, *, forked: bool = True, **settings: Any) -> ServerProcess:
            zygote = zygotes.of("server") if forked else None
            server = ServerProcess(folder, database_url, zygote, **settings)
            stack.push_async_callback(server.tidy)
            keep_log(item, "the server", lambda: server.log)
            await server.start()
            return server

        yield start


@contextlib.asynccontextmanager
async def fleets(item: pytest.Item, folder: Path, zygotes: Zygotes) -> AsyncIterator[MakeFleet]:
    """A function that makes fleets for this test; their agents end with the block."""
    async with contextlib.AsyncExitStack() as stack:

        def make(server_url: str | None, *, forked: bool = True, **settings: Any) -> Fleet:
            fleet = Fleet(folder, server_url, zygote=zygotes.of("agent") if forked else None, **settings)
            stack.push_async_callback(fleet.tidy)
            keep_log(item, "the agents", lambda: "\n".join(agent.log[-2_000:] for agent in fleet.started[:5]))
            return fleet

        yield make


@contextlib.asynccontextmanager
async def operators() -> AsyncIterator[Operate]:
    """A function that makes operators; their clients are closed with the block."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(server: ServerProcess, person: Person | None = None) -> Operator:
            operator = Operator(server, person or await people.signed_in(server.db, ADMIN))
            stack.push_async_callback(operator.client.aclose)
            return operator

        yield start


@pytest.fixture(scope="session")
def zygotes() -> Iterator[Zygotes]:
    """Servers and agents that start in a moment."""
    made = Zygotes()
    yield made
    made.end()


@pytest.fixture
async def start_server(request: pytest.FixtureRequest, tmp_path: Path, zygotes: Zygotes) -> AsyncIterator[StartServer]:
    """``await start_server(database_url, ping_interval=1)``: a server that answers."""
    async with servers(request.node, tmp_path, zygotes) as start:
        yield start


@pytest.fixture
async def make_fleet(request: pytest.FixtureRequest, tmp_path: Path, zygotes: Zygotes) -> AsyncIterator[MakeFleet]:
    """``make_fleet(server.url, enrollment_token=…)``: a place to start agents from."""
    async with fleets(request.node, tmp_path, zygotes) as make:
        yield make


@pytest.fixture
async def operate() -> AsyncIterator[Operate]:
    """``await operate(server)``: the administrator at the REST API; with a person: somebody else."""
    async with operators() as start:
        yield start


@pytest.fixture
async def watch_server() -> AsyncIterator[WatchServer]:
    """``await watch_server(server, token)``: a dashboard as the specification draws it."""
    async with contextlib.AsyncExitStack() as stack:

        async def enter(server: ServerProcess, token: str, *, batch: bool = False) -> DashboardPeer:
            peer = DashboardPeer(server.url, token, batch=batch)
            stack.push_async_callback(peer.close)
            return await peer.enter()

        yield enter
