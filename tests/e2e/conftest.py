"""Fixtures of the browser tests: a real Chromium, and one screen for each person who looks at the dashboard.

The tests of one worker share an event loop, a Chromium and a server. Each has an account, devices and an empty cookie
jar of its own, so that nothing of another test can be seen. A test that needs the server to itself takes ``own_place``.
"""

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ViewportSize, async_playwright

from app.accounts.permissions import Role
from tests import conftest
from tests.conftest import MakeFleet, Operate, StartServer
from tests.support import people, rows
from tests.support.browser import Screen, Screens
from tests.support.chromium import LAUNCH_ARGUMENTS
from tests.support.fleet import Fleet
from tests.support.server import Person
from tests.support.server_process import ADMIN, Operator, ServerProcess
from tests.support.zygote import Zygote, Zygotes

WIDE: ViewportSize = {"width": 1280, "height": 900}
SHARED: Final = "session"
Scheme = Literal["light", "dark"]

OpenScreen = Callable[..., Awaitable[Screen]]

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for these tests, which is what a browser and a server can be shared on."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope=SHARED), append=False)


# ---------------------------------------------------------------- what is shared


@pytest_asyncio.fixture(scope=SHARED, loop_scope=SHARED)
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """Chromium without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=list(LAUNCH_ARGUMENTS))
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def browser_screens(browser: Browser) -> Screens:
    """Those that all tests have."""
    return Screens(browser)


@pytest.fixture(scope="session")
def zygotes() -> Iterator[Zygotes]:
    """Servers and agents that start in a moment; none of those that other tests have, whose event loops are others."""
    made = Zygotes()
    yield made
    made.end()


@contextlib.asynccontextmanager
async def running(folder: Path, *, zygote: Zygote | None = None, **settings: Any) -> AsyncIterator[ServerProcess]:
    """A server on SQLite that several tests share; it ends with the block."""
    server = ServerProcess(folder, f"sqlite+aiosqlite:///{folder / 'deployx.db'}", zygote, **settings)
    try:
        await server.start()
        yield server
    finally:
        await server.tidy()


@pytest_asyncio.fixture(scope=SHARED, loop_scope=SHARED)
async def shared_server(tmp_path_factory: pytest.TempPathFactory, zygotes: Zygotes) -> AsyncIterator[ServerProcess]:
    """For tests that leave it and everyone else's devices alone."""
    async with running(tmp_path_factory.mktemp("server"), zygote=zygotes.of("server")) as server:
        yield server


# ---------------------------------------------------------------- what ends with the test


@pytest_asyncio.fixture(loop_scope=SHARED)
async def start_server(request: pytest.FixtureRequest, tmp_path: Path, zygotes: Zygotes) -> AsyncIterator[StartServer]:
    """``await start_server(sqlite_url, enrollment="approval")``: a server of the test's own."""
    async with conftest.servers(request.node, tmp_path, zygotes) as start:
        yield start


@pytest_asyncio.fixture(loop_scope=SHARED)
async def make_fleet(request: pytest.FixtureRequest, tmp_path: Path, zygotes: Zygotes) -> AsyncIterator[MakeFleet]:
    """``make_fleet(server.url, enrollment_token=…)``: a place to start agents from."""
    async with conftest.fleets(request.node, tmp_path, zygotes) as make:
        yield make


@pytest_asyncio.fixture(loop_scope=SHARED)
async def operate() -> AsyncIterator[Operate]:
    """``await operate(server, person)``: somebody at the REST API."""
    async with conftest.operators() as start:
        yield start


@pytest_asyncio.fixture(loop_scope=SHARED)
async def open_screen(browser_screens: Screens) -> AsyncIterator[OpenScreen]:
    """``await open_screen(server.url)``: a blank page. In the end its console must hold no complaint."""
    screens: list[Screen] = []
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            url: str, *, viewport: ViewportSize = WIDE, color_scheme: Scheme | None = None, **options: Any
        ) -> Screen:
            screen = await stack.enter_async_context(browser_screens.taken(url, **options))
            await screen.page.set_viewport_size(viewport)
            await screen.page.emulate_media(color_scheme=color_scheme)
            screens.append(screen)
            return screen

        yield start
        for screen in screens:
            assert screen.complaints() == []
            assert await screen.violations() == []
            assert screen.hosts <= {screen.url}, "the page asked another host"


@dataclass
class Place:
    """A running server on SQLite, somebody who is signed in there, a fleet that may enrol as theirs."""

    server: ServerProcess
    operator: Operator
    fleet: Fleet

    async def device(self, number: int = 1) -> int:
        """Start agent ``number``; the id of its device, which is online."""
        before = {one["id"] for one in await self.operator.devices()}
        await self.fleet.start(number)
        devices = await self.operator.until(len(before) + 1)
        [new] = [one["id"] for one in devices if one["id"] not in before]
        await self.operator.until(1, id=new, status="online")
        return int(new)

    async def stock(self, names: Sequence[str], platforms: Sequence[str] = ("linux",)) -> list[int]:
        """Devices with these names that are not connected, with each platform in turn; their ids."""
        devices = [
            rows.device(next(_numbers), device_name=name, platform=platform, user_id=self.operator.person.id)
            for name, platform in zip(names, itertools.cycle(platforms), strict=False)
        ]
        async with self.server.db.write() as session:
            session.add_all(devices)
        return [device.id for device in devices]

    async def newcomer(self, role: Role = Role.OPERATOR) -> Person:
        """Somebody else, with an account of their own."""
        return await people.newcomer(self.server.db, f"person-{next(_numbers)}@example.test", role)


async def _place(server: ServerProcess, person: Person, operate: Operate, make_fleet: MakeFleet) -> Place:
    operator = await operate(server, person)
    token = await operator.enrollment_token(max_uses=100)
    fleet = make_fleet(server.url, enrollment_token=token, name=f"machine-{person.id}")
    return Place(server, operator, fleet)


@pytest_asyncio.fixture(loop_scope=SHARED)
async def place(
    request: pytest.FixtureRequest, shared_server: ServerProcess, operate: Operate, make_fleet: MakeFleet
) -> Place:
    """Everything that most tests begin with; the person is an operator, whom nobody else's devices are shown to."""
    conftest.keep_log(request.node, "the shared server", lambda: shared_server.log)
    person = await people.newcomer(shared_server.db, f"person-{next(_numbers)}@example.test", Role.OPERATOR)
    return await _place(shared_server, person, operate, make_fleet)


@pytest_asyncio.fixture(loop_scope=SHARED)
async def own_place(sqlite_url: str, start_server: StartServer, operate: Operate, make_fleet: MakeFleet) -> Place:
    """A server to oneself; the person is its administrator."""
    server = await start_server(sqlite_url)
    return await _place(server, await people.signed_in(server.db, ADMIN), operate, make_fleet)


@pytest_asyncio.fixture(loop_scope=SHARED)
async def fresh_screen(place: Place, open_screen: OpenScreen) -> Screen:
    """The same, in a process that no page was in before: for what is measured."""
    shown = await open_screen(place.server.url, fresh=True)
    await shown.enter(place.operator.person)
    return shown


@pytest_asyncio.fixture(loop_scope=SHARED)
async def screen(place: Place, open_screen: OpenScreen) -> Screen:
    """The screen of the place's operator, live."""
    shown = await open_screen(place.server.url)
    await shown.enter(place.operator.person)
    return shown
