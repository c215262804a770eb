"""axe at every page, in light and on a desk, in dark and on a phone."""

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import OpenScreen, Place


@pytest.mark.timeout(300)
async def test_axe_finds_nothing(own_place: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(own_place.server.url)
    page, fleet = screen.page, own_place.fleet
    await screen.goto()
    await screen.stands_every_look(page.get_by_label("E-mail"))
    await screen.fill_sign_in(own_place.operator.person.email)
    await screen.live()
    await page.get_by_role("button", name="Create the line").click()
    await screen.stands_every_look(page.get_by_test_id("enroll-line"))

    fleet.settings["machine_id"] = None
    device = await own_place.device(1)
    fleet.copy(1, 2)
    await fleet.start(2)
    del fleet.settings["machine_id"]
    await expect(page.get_by_test_id("claim")).to_be_visible()
    await own_place.device(3)
    await fleet.kill(3)
    await screen.counts(offline=1)
    await screen.stands_every_look(page.get_by_test_id("claim"))
    for path, shown in (
        (f"/devices/{device}", page.get_by_test_id("history")),
        ("/devices/424242", page.get_by_role("heading")),
        ("/add-device", page.get_by_role("heading")),
        ("/settings", page.get_by_role("heading")),
        ("/nowhere", page.get_by_role("heading")),
    ):
        await screen.goto(path)
        await screen.live()
        await screen.stands_every_look(shown)
    await screen.goto("/")
    await screen.live()
    await page.keyboard.press("Control+k")
    await screen.stands_every_look(page.get_by_placeholder("Find a device, page or action"))
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Notifications").click()
    await screen.stands_every_look(page.get_by_text("Notifications", exact=True))
