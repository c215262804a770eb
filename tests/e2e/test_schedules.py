"""Schedules in a browser: made with the next times in sight, seen in the coming weeks, started, paused, deleted."""

import os
from pathlib import Path

from playwright.async_api import ViewportSize, expect

from tests.e2e.conftest import Place
from tests.support.browser import Screen

PHONE: ViewportSize = {"width": 360, "height": 780}
SHOTS = os.environ.get("SCHEDULE_SHOTS", "")


async def fits(screen: Screen, name: str) -> None:
    """Wide and on a phone: nothing is too wide, axe finds nothing."""
    wide = screen.page.viewport_size
    assert wide
    for label, size in (("wide", wide), ("phone", PHONE)):
        await screen.resize(size)
        assert await screen.axe() == [], (name, label)
        assert await screen.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") <= 0
        if SHOTS:
            await screen.page.screenshot(path=Path(SHOTS) / f"{name}-{label}.png", full_page=True)
    await screen.resize(wide)


async def test_a_schedule_from_its_making_to_its_end(place: Place, screen: Screen) -> None:
    page = screen.page
    await place.stock(["web-1", "web-2"])
    await screen.goto("/schedules")
    await screen.live()
    await expect(page.get_by_test_id("first-schedule")).to_be_visible()
    await fits(screen, "none")
    await page.get_by_role("button", name="New schedule").click()

    await page.get_by_role("textbox", name="Name", exact=True).fill("nightly")
    await page.get_by_role("combobox", name="Time zone").fill("Europe/Berlin")
    cron = page.get_by_label("Cron expression")
    await cron.fill("0 0 30 2 *")
    await expect(page.get_by_text("none of its months has day 30")).to_be_visible()
    await page.get_by_role("button", name="every day at 2:30").click()
    await expect(cron).to_have_value("30 2 * * *")
    await expect(page.get_by_text("At 02:30 every day")).to_be_visible()
    await expect(page.get_by_test_id("next-times").get_by_role("listitem")).to_have_count(10)
    await page.get_by_role("textbox", name="Command").fill("uptime")
    await page.get_by_label("Selector").fill("name=web-*")
    await expect(page.get_by_test_id("preview")).to_contain_text("2 devices")
    await page.get_by_role("button", name="Add a window").click()
    await fits(screen, "new")
    await page.get_by_role("button", name="Make the schedule").click()

    await expect(page.get_by_role("heading", name="nightly")).to_be_visible()
    await expect(page.get_by_text("It was not due yet.")).to_be_visible()
    await expect(page.get_by_test_id("next-times").get_by_role("listitem")).to_have_count(10)
    await page.get_by_role("button", name="Start now").click()
    firing = page.get_by_test_id("firings").get_by_role("listitem")
    await expect(firing).to_contain_text("started")
    await expect(firing).to_contain_text("by hand")
    await fits(screen, "one")
    await page.get_by_role("button", name="Start now").click()
    await expect(page.get_by_role("alert")).to_contain_text("not over")
    await firing.get_by_role("link", name="Its run").click()
    await expect(page.get_by_role("heading", name="uptime")).to_be_visible()

    screen.forgiven.append("409|422")
    await screen.goto("/schedules?view=calendar")
    await screen.live()
    await expect(page.get_by_test_id("calendar").get_by_role("link", name="nightly").first).to_be_visible()
    await fits(screen, "calendar")
    await page.get_by_test_id("calendar").get_by_role("link", name="nightly").first.click()
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("It is paused.")).to_be_visible()
    await page.get_by_role("button", name="Change").click()
    await expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("nightly")
    await expect(page.get_by_label("Selector")).to_have_value("name=web-*")
    await page.get_by_role("textbox", name="Name", exact=True).fill("hourly")
    await page.get_by_role("button", name="every hour").click()
    await page.get_by_role("button", name="Save the schedule").click()
    await expect(page.get_by_role("heading", name="hourly")).to_be_visible()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_test_id("next-times")).to_be_visible()
    await page.get_by_role("link", name="Schedules").first.click()
    await expect(page.locator('[data-schedule="hourly"]')).to_contain_text("started")
    await fits(screen, "list")
    await page.get_by_role("link", name="hourly").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete the schedule").click()
    await expect(page.get_by_test_id("first-schedule")).to_be_visible()
