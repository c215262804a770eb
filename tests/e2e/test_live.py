"""A device that comes and goes, as a person sees it: in the list, the counters, a toast, the list of notifications."""

import re

from playwright.async_api import expect

from deployx_protocol.states import CAUSE_TEXT, StatusCause
from tests.e2e.conftest import Place
from tests.support.browser import Screen

CLOSED = CAUSE_TEXT[StatusCause.CONNECTION_CLOSED]


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(float(part)) for part in re.findall(r"[\d.]+", colour)[:3])


async def test_a_device_comes_and_goes_without_a_reload(place: Place, screen: Screen) -> None:
    page = screen.page
    await page.evaluate("() => { window.__sameDocument = true; }")
    device = await place.device()
    name = (await place.operator.devices())[0]["device_name"]
    await screen.shows(device, "online")
    await expect(screen.row(device)).to_contain_text("Online")
    await screen.counts(online=1, offline=0)
    await expect(page.get_by_test_id("toast")).to_contain_text(f"{name} came online")

    await place.fleet.kill(1)
    await screen.shows(device, "offline")
    row = screen.row(device)
    mark = row.locator('[data-column="status"] [data-state="offline"]')
    await expect(mark).to_have_text("Offline")
    await expect(mark.locator("svg")).to_be_visible()
    red, green, blue = _rgb(await mark.evaluate("(element) => getComputedStyle(element).color"))
    assert red > 1.5 * max(green, blue), "offline is red"
    await expect(row.locator('[data-column="status"]')).to_contain_text(CLOSED)
    await expect(row.locator('[data-column="status"] time')).to_be_visible()
    await screen.counts(online=0, offline=1)
    gone = page.locator('[data-testid="toast"][data-state="offline"]')
    await expect(gone).to_contain_text(f"{name} went offline: {CLOSED}")

    await page.get_by_role("button", name="Notifications, 2 unread").click()
    lines = page.get_by_test_id("notice-list").get_by_role("listitem")
    await expect(lines).to_have_count(2)
    await expect(lines.first).to_contain_text(f"{name} went offline")
    await expect(lines.last).to_contain_text(f"{name} came online")
    await page.keyboard.press("Escape")

    await place.fleet.start(1)
    await screen.shows(device, "online")
    await screen.counts(online=1, offline=0)
    assert await page.evaluate("() => window.__sameDocument")


async def test_the_console_has_the_specifications_lines_at_debug_level(place: Place, screen: Screen) -> None:
    device = await place.device()
    name = (await place.operator.devices())[0]["device_name"]
    await screen.shows(device, "online")
    await screen.counts(online=1)
    for line in (
        f"[INFO] Device status changed: {name} → online",
        "[INFO] Dashboard stats updated",
        "[INFO] Notification: Agent Connected",
    ):
        assert f"debug: {line}" in screen.said


async def test_the_device_page_shows_what_happened(place: Place, screen: Screen) -> None:
    device = await place.device()
    await screen.goto(f"/devices/{device}")
    status = screen.page.get_by_test_id("device-status")
    await expect(status).to_contain_text("registered from 127.0.0.1")
    await place.fleet.kill(1)
    await expect(status).to_contain_text("Offline")
    await expect(status).to_contain_text(CLOSED)
    history = screen.page.get_by_test_id("history").first.get_by_role("listitem")
    await expect(history).to_have_count(2)
    await expect(history.first).to_contain_text(CLOSED)
