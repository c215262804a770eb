"""Fixtures of the whole-system tests: real servers and agents, ended and reaped whatever the test did.

When a test fails, the end of each process's log stands in its report.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet
from tests.support.peers import DashboardPeer
from tests.support.server import Person
from tests.support.server_process import Operator, ServerProcess

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
    if report.when == "call" and report.failed:
        for name, read in item.stash.get(_LOGS, []):
            report.sections.append((f"log of {name}", "\n".join(read().splitlines()[-LOG_LINES:])))
    return report


@pytest.fixture
async def start_server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StartServer]:
    """``await start_server(database_url, ping_interval=1)``: a server that answers."""
    logs = request.node.stash.setdefault(_LOGS, [])
    async with contextlib.AsyncExitStack() as stack:

        async def start(database_url: str, **settings: Any) -> ServerProcess:
            server = ServerProcess(tmp_path, database_url, **settings)
            stack.push_async_callback(server.tidy)
            logs.append(("the server", lambda: server.log))
            await server.start()
            return server

        yield start


@pytest.fixture
async def make_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeFleet]:
    """``make_fleet(server.url, enrollment_token=…)``: a place to start agents from."""
    logs = request.node.stash.setdefault(_LOGS, [])
    async with contextlib.AsyncExitStack() as stack:

        def make(server_url: str | None, **settings: Any) -> Fleet:
            fleet = Fleet(tmp_path, server_url, **settings)
            stack.push_async_callback(fleet.tidy)
            logs.append(("the agents", lambda: "\n".join(agent.log[-2_000:] for agent in fleet.started[:5])))
            return fleet

        yield make


@pytest.fixture
async def operate() -> AsyncIterator[Operate]:
    """``await operate(server)``: the administrator at the REST API; with a person: somebody else."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(server: ServerProcess, person: Person | None = None) -> Operator:
            operator = Operator(server, person or await server.sign_in())
            stack.push_async_callback(operator.client.aclose)
            return operator

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
