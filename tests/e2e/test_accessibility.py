"""axe at every page, in light and dark, wide and on a phone."""

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import OpenScreen, Place
from tests.support.browser import Screen

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}


async def check(screen: Screen, what: str) -> None:
    assert await screen.axe() == [], what


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", WIDE), ("light", PHONE)])
async def test_axe_finds_nothing(place: Place, open_screen: OpenScreen, scheme: str, viewport: dict[str, int]) -> None:
    screen = await open_screen(place.server.url, color_scheme=scheme, viewport=viewport)
    page = screen.page
    await screen.goto()
    await expect(page.get_by_label("E-mail")).to_be_visible()
    await check(screen, "sign-in")
    await screen.fill_sign_in(place.operator.person.email)
    await screen.live()
    await page.get_by_role("button", name="Create the line").click()
    await expect(page.get_by_test_id("enroll-line")).to_be_visible()
    await check(screen, "first device")

    place.fleet.settings["machine_id"] = None
    device = await place.device(1)
    place.fleet.copy(1, 2)
    await place.fleet.start(2)
    del place.fleet.settings["machine_id"]
    await expect(page.get_by_test_id("claim")).to_be_visible()
    await place.device(3)
    await place.fleet.kill(3)
    await screen.counts(offline=1)
    await check(screen, "the list, with something that needs attention")
    for path in (f"/devices/{device}", "/devices/424242", "/add-device", "/settings", "/nowhere"):
        await screen.goto(path)
        await screen.live()
        if path.startswith("/devices") and not path.endswith("424242"):
            await expect(page.get_by_test_id("history").first).to_be_visible()
        await check(screen, path)
    await screen.goto("/")
    await screen.live()
    await page.keyboard.press("Control+k")
    await expect(page.get_by_placeholder("Find a device, page or action")).to_be_visible()
    await check(screen, "the palette")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Notifications").click()
    await expect(page.get_by_text("Notifications", exact=True)).to_be_visible()
    await check(screen, "notifications")
