"""axe at every page, in light and dark, wide and on a phone."""

from typing import Literal

import pytest
from playwright.async_api import Locator, ViewportSize, expect

from tests.e2e.conftest import WIDE, OpenScreen, Place
from tests.support.browser import Screen

PHONE: ViewportSize = {"width": 390, "height": 844}
LOOKS: tuple[tuple[Literal["light", "dark"], ViewportSize], ...] = (("light", WIDE), ("dark", WIDE), ("light", PHONE))


async def check(screen: Screen, shown: Locator) -> None:
    """In each look ``shown`` is there, and axe finds nothing."""
    for scheme, viewport in LOOKS:
        await screen.page.emulate_media(color_scheme=scheme)
        await expect(screen.page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
        await screen.resize(viewport)
        await expect(shown.first).to_be_visible()
        assert await screen.axe() == [], (screen.page.url, scheme, viewport)


@pytest.mark.timeout(300)
async def test_axe_finds_nothing(own_place: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(own_place.server.url)
    page, fleet = screen.page, own_place.fleet
    await screen.goto()
    await check(screen, page.get_by_label("E-mail"))
    await screen.fill_sign_in(own_place.operator.person.email)
    await screen.live()
    await page.get_by_role("button", name="Create the line").click()
    await check(screen, page.get_by_test_id("enroll-line"))

    fleet.settings["machine_id"] = None
    device = await own_place.device(1)
    fleet.copy(1, 2)
    await fleet.start(2)
    del fleet.settings["machine_id"]
    await expect(page.get_by_test_id("claim")).to_be_visible()
    await own_place.device(3)
    await fleet.kill(3)
    await screen.counts(offline=1)
    await check(screen, page.get_by_test_id("claim"))
    for path, shown in (
        (f"/devices/{device}", page.get_by_test_id("history")),
        ("/devices/424242", page.get_by_role("heading")),
        ("/add-device", page.get_by_role("heading")),
        ("/settings", page.get_by_role("heading")),
        ("/nowhere", page.get_by_role("heading")),
    ):
        await screen.goto(path)
        await screen.live()
        await check(screen, shown)
    await screen.goto("/")
    await screen.live()
    await page.keyboard.press("Control+k")
    await check(screen, page.get_by_placeholder("Find a device, page or action"))
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Notifications").click()
    await check(screen, page.get_by_text("Notifications", exact=True))
