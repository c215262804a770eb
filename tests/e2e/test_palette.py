"""The palette by keyboard alone, faster than it can be loaded."""

import asyncio
import re

from playwright.async_api import Route, expect

from tests.e2e.conftest import Place
from tests.support.browser import Screen


async def test_what_is_typed_before_the_palette_is_there_runs_the_right_entry(place: Place, screen: Screen) -> None:
    page = screen.page
    *_, wanted = await place.stock(["web-1", "web-10", "settings-web", "web-2"])
    let = asyncio.Event()

    async def late(route: Route) -> None:
        await let.wait()
        await route.continue_()

    await page.route("**/assets/Palette-*.js", late)
    await screen.goto("/runs")
    await screen.live()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("web-2x")
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    let.set()
    await expect(page).to_have_url(re.compile(f"/devices/{wanted}"))
    await page.keyboard.press("Control+k")  # it is loaded now; the list follows each key
    await page.keyboard.type("settings")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/devices/"))
    await expect(page.get_by_role("heading", name="settings-web")).to_be_visible()
