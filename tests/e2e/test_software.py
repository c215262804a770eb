"""Software in a browser: what a device has, who has openssl below a version, and a run on exactly those."""

import gzip
import json

from playwright.async_api import expect

from app.software.intake import Intake
from tests.e2e.conftest import Place
from tests.e2e.test_schedules import fits
from tests.support.browser import Screen


async def test_from_a_device_to_all_that_have_it(place: Place, screen: Screen) -> None:
    page = screen.page
    old, new, silent = await place.stock(["web-1", "web-2", "db-1"])
    intake = Intake(place.server.db)
    for device_id, version in ((old, "3.0.11-1~deb12u2"), (new, "3.0.15-1")):
        many = [[f"lib-{number:03}", "1.0-1", "all", "dpkg"] for number in range(120)]
        packages = [["openssl", version, "amd64", "dpkg"], ["<script>alert(1)</script>", "1", "", "dpkg"], *many]
        await intake.take(device_id, gzip.compress(json.dumps({"sources": ["dpkg"], "packages": packages}).encode()))

    await screen.goto(f"/devices/{silent}")
    await screen.live()
    await page.get_by_role("tab", name="Software").click()
    await expect(page.get_by_text("has not reported what is installed")).to_be_visible()
    await screen.goto(f"/devices/{old}")
    await screen.live()
    await page.get_by_role("tab", name="Software").click()
    await expect(page.get_by_test_id("software-freshness")).to_contain_text("122 packages of dpkg")
    await expect(page.get_by_test_id("packages").get_by_role("listitem")).to_have_count(100)
    await page.get_by_role("button", name="Show more").click()
    await expect(page.get_by_test_id("packages").get_by_role("listitem")).to_have_count(122)
    await fits(screen, "device-software")
    await page.get_by_label("Search the software").fill("ssl")
    await expect(page.get_by_test_id("packages").get_by_role("listitem")).to_have_count(1)
    await page.get_by_test_id("packages").get_by_role("link", name="openssl").click()

    summary = page.get_by_test_id("software-summary")
    await expect(summary).to_have_text("2 devices of 2 that report have openssl. Of 1 other nothing is known.")
    search = page.get_by_label("Package, and what its version is compared with")
    await search.fill("openssl<3.0.13")
    await page.keyboard.press("Enter")
    await expect(summary).to_contain_text("1 device of 2")
    found = page.get_by_test_id("devices-with").get_by_role("listitem")
    await expect(found).to_have_count(1)
    await expect(found).to_contain_text("openssl 3.0.11-1~deb12u2 (amd64)")
    await fits(screen, "software")
    await page.get_by_role("tab", name="Versions").click()
    await expect(page.get_by_test_id("versions")).to_contain_text("3.0.11-1~deb12u2")
    await fits(screen, "versions")
    await page.get_by_role("tab", name="Devices").click()
    await page.get_by_role("button", name="Run on it").click()
    await expect(page.get_by_test_id("preview")).to_contain_text("1 device")

    screen.forgiven.append("422")
    await screen.goto("/software?q=openssl<<1")
    await screen.live()
    await expect(page.get_by_role("alert")).to_contain_text("is no comparison")
