"""What the server's tests share.

Settings that owe nothing to the environment, a database of each kind, people, and an application served on a real
socket.
"""

import contextlib
import io
import logging
import os
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher

from app import logging as server_log
from app.accounts.auth import Auth
from app.accounts.permissions import Role
from app.accounts.routes import router as account_routes
from app.accounts.service import AccountService
from app.accounts.throttle import SignInThrottle
from app.db import Database
from app.hints import Hint
from app.routing import attach
from app.settings import Settings
from app.uow import UnitOfWork
from app.web import docs, health, metrics, problems, spa
from app.web.middleware import RequestFrame
from tests.support import secrets_made, statements
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.node import Lines, RunningNode, Serve, serving
from tests.support.peers import DashboardPeer, Peer, Watch
from tests.support.server import PASSWORD, Browse, MakePerson, ManualClock, Person, Site, running


@pytest.fixture(autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests see none of the ``DEPLOYX_*`` variables of whoever runs them, except where the browser is."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    with mock.patch.dict(os.environ, clean, clear=True):
        yield


@pytest.fixture(autouse=True)
def _secrets_are_known() -> Iterator[None]:
    """Each secret that the server makes is looked for in all that it says."""
    with secrets_made.kept():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """No test's server prints or logs a secret."""
    return secrets_made.judge((yield))


@pytest.fixture(autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Argon2id at a thousandth of its price, for applications inside the test process; `serve` itself pays in full."""
    cheap = partial(Argon2Hasher, time_cost=1, memory_cost=64, parallelism=1)
    with mock.patch("app.accounts.passwords.Argon2Hasher", cheap):
        yield


@pytest.fixture(autouse=True)
def _compiled_once() -> Iterator[None]:
    """Each statement is compiled once, which is a quarter of what a server of a test costs."""
    with statements.compiled_once():
        yield


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """That database, open."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for that database."""
    return Settings(data_dir=tmp_path, database_url=database_url)


@pytest.fixture
def clock() -> ManualClock:
    """The clock of ``accounts``."""
    return ManualClock()


@pytest.fixture
def hints() -> list[Hint]:
    """What was published."""
    return []


@pytest.fixture
def uow(db: Database, hints: list[Hint]) -> UnitOfWork:
    """Units of work whose hints end up in ``hints``."""
    return UnitOfWork(db, hints.extend)


@pytest.fixture
def accounts(uow: UnitOfWork, db: Database, settings: Settings, clock: ManualClock) -> Iterator[AccountService]:
    """The account service on a clock that tests move."""
    service = AccountService(uow, db, settings, clock=clock, throttle=SignInThrottle(clock.monotonic))
    yield service
    service.close()


@pytest.fixture
def person(accounts: AccountService) -> MakePerson:
    """Makes people."""

    async def make(email: str = "ada@example.test", role: Role = Role.ADMIN) -> Person:
        await accounts.create_user(email, PASSWORD, role)
        user, cookie = await accounts.login(email, PASSWORD, address="127.0.0.1")
        principal = await accounts.authenticate_cookie(cookie)
        _, token = await accounts.create_token(principal, "tests")
        return Person(user.id, email, token, cookie)

    return make


def build_app(accounts: AccountService, db: Database, settings: Settings, dashboard: spa.Dashboard) -> FastAPI:
    """An application of the parts under test alone."""
    app = FastAPI(
        title="DeployX",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=problems.RESPONSES,
    )
    counted = metrics.Metrics()
    auth = Auth(accounts, settings)
    problems.install(app)
    app.add_middleware(RequestFrame, metrics=counted)
    attach(app, account_routes(accounts, auth), health.router(db), metrics.router(counted, auth), docs.router())

    @app.get("/api/v1/crash")
    async def crash() -> None:
        raise RuntimeError("the secret of the house")

    attach(app, spa.router(dashboard))
    return app


@pytest.fixture
def dashboard(tmp_path: Path) -> spa.Dashboard:
    """A dashboard of two files."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<script nonce="__CSP_NONCE__" src="/assets/app-1.js"></script>')
    (folder / "assets" / "app-1.js").write_text("console.log('hello')")
    (folder / "favicon.svg").write_text("<svg/>")
    return spa.Dashboard(folder)


@pytest.fixture
async def site(
    accounts: AccountService, db: Database, settings: Settings, dashboard: spa.Dashboard
) -> AsyncIterator[Site]:
    """The parts under test, served."""
    async with running(build_app(accounts, db, settings, dashboard)) as served:
        yield served


async def _no_secret_on_record(node: RunningNode) -> None:
    assert await secrets_made.leaks_of_record(node.db) == []


@pytest.fixture
async def serve(settings: Settings) -> AsyncIterator[Serve]:
    """Starts a whole server on the test's database: `await serve(enrollment="approval")`. It stops with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**changes: Any) -> RunningNode:
            node = await stack.enter_async_context(serving(settings.model_copy(update=changes)))
            stack.push_async_callback(_no_secret_on_record, node)
            return node

        yield start


@pytest.fixture
async def browse(serve: Serve) -> AsyncIterator[Browse]:
    """HTTP clients of a server that speak for somebody, or for nobody: `browse(node, ada.bearer)`."""
    async with contextlib.AsyncExitStack() as stack:

        def start(node: RunningNode, headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
            client = httpx2.AsyncClient(
                base_url=node.url,
                headers=dict(headers or {}),
                timeout=30,
                verify=False,  # no https here, and reading the certificates takes longer than most tests
            )
            stack.push_async_callback(client.aclose)
            return client

        yield start


@pytest.fixture
async def peers() -> AsyncIterator[list[Peer]]:
    """Clients that are closed when the test ends, before the server is."""
    made: list[Peer] = []
    yield made
    for peer in made:
        await peer.close()


@pytest.fixture
def agent(serve: Serve, peers: list[Peer]) -> MakeAgent:
    """Makes agents of a server: `agent(node)`, `agent(node, machine)`."""

    def make(node: RunningNode, machine: Machine | None = None, **options: Any) -> AgentPeer:
        peer = AgentPeer(node.url, machine, **options)
        peers.append(peer)
        return peer

    return make


@pytest.fixture
def watch(serve: Serve, peers: list[Peer]) -> Watch:
    """Opens dashboards of a server: `await watch(node, person, batch=True)`."""

    async def enter(node: RunningNode, somebody: Person, *, batch: bool = False) -> DashboardPeer:
        peer = DashboardPeer(node.url, somebody.token, batch=batch)
        peers.append(peer)
        return await peer.enter()

    return enter


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the server has logged so far, as it stands on stderr, line by line."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    server_log.configure(stream=stream)
    yield lambda: stream.getvalue().splitlines()
    assert secrets_made.leaks(stream.getvalue()) == []
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
