"""The link between page and server is lost and found: the page says so, and is never stale after it."""

from playwright.async_api import expect

from tests.e2e.conftest import OpenScreen, Place


async def test_the_page_says_that_it_is_stale_and_then_is_not(own_place: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(own_place.server.url)
    page = screen.page
    screen.forgiven += [r"ERR_FAILED"]
    await page.route("**/assets/LinePlot-*.css", lambda route: route.abort())
    await screen.enter(own_place.operator.person)
    await page.evaluate("() => { window.__sameDocument = true; }")
    stays, goes = await own_place.device(1), await own_place.device(2)
    screen.forgiven += [r"WebSocket connection to", r"ERR_CONNECTION_REFUSED"]
    await screen.shows(goes, "online")
    missing = page.get_by_test_id("piece-missing")
    await expect(missing).to_contain_text("and did not arrive whole")

    await own_place.server.kill()
    banner = page.get_by_test_id("link-banner")
    await expect(banner).to_contain_text("The link to the server is lost.")
    await expect(banner).to_contain_text("actions are off")
    await expect(banner.get_by_test_id("stale-age")).to_be_visible()
    await expect(page.get_by_test_id("stale-mark")).to_contain_text("As it was at")
    await expect(screen.row(stays)).to_be_visible()
    await screen.row(stays).get_by_role("link").click()
    await expect(page.get_by_role("button", name="Delete")).to_have_attribute("aria-disabled", "true")
    await page.get_by_role("button", name="Close the device").click()

    await own_place.fleet.kill(2)
    own_place.server.env["DEPLOYX_PRESENCE_GRACE"] = "1"
    await missing.get_by_role("button", name="Try again").click()
    await expect(missing).to_contain_text("No answer came back from the server.")
    await own_place.server.start()
    await page.unroute_all()
    # It tries by itself as well, so at any moment the button may be gone.
    await banner.get_by_role("button", name="Try now").evaluate_all("(found) => found.forEach((one) => one.click())")
    await expect(banner).to_have_count(0)
    await screen.shows(stays, "online")
    await screen.shows(goes, "offline")
    await screen.counts(online=1, offline=1)
    await expect(page.get_by_test_id("stale-mark")).to_have_count(0)
    await missing.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("img", name="Devices online over")).to_be_visible()
    assert await page.evaluate("() => window.__sameDocument")
