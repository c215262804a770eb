"""Fixtures of the browser tests: a real Chromium, and one screen for each person who looks at the dashboard."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.browser import Screen
from tests.support.chromium import LAUNCH_ARGUMENTS
from tests.support.fleet import Fleet
from tests.support.server_process import Operator, ServerProcess

WIDE = {"width": 1280, "height": 900}

OpenScreen = Callable[..., Awaitable[Screen]]


@pytest.fixture
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """Chromium without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=list(LAUNCH_ARGUMENTS))
        yield browser
        await browser.close()


@pytest.fixture
async def open_screen(browser: Browser) -> AsyncIterator[OpenScreen]:
    """``await open_screen(server.url)``: a blank page. In the end its console must hold no complaint."""
    screens: list[Screen] = []
    async with contextlib.AsyncExitStack() as stack:

        async def start(url: str, **options: Any) -> Screen:
            context = await browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
            stack.push_async_callback(context.close)
            screens.append(await Screen.open(context, url))
            return screens[-1]

        yield start
        for screen in screens:
            assert screen.complaints() == []
            assert await screen.violations() == []
            assert screen.hosts <= {screen.url}, "the page asked another host"


@dataclass
class Place:
    """A running server on SQLite, its administrator, a fleet that may enrol."""

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


@pytest.fixture
async def place(sqlite_url: str, start_server: StartServer, operate: Operate, make_fleet: MakeFleet) -> Place:
    """Everything that most tests begin with."""
    server = await start_server(sqlite_url)
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=100)
    return Place(server, operator, make_fleet(server.url, enrollment_token=token))


@pytest.fixture
async def screen(place: Place, open_screen: OpenScreen) -> Screen:
    """The administrator's screen, live."""
    shown = await open_screen(place.server.url)
    await shown.sign_in(place.operator.person)
    return shown
