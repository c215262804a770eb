"""On a phone: nothing is wider than the screen, and what is pressed is large enough for a finger."""

from playwright.async_api import ViewportSize, expect

from tests.e2e.conftest import OpenScreen, Place

FINGER_PX = 40
PHONES: tuple[ViewportSize, ...] = ({"width": 390, "height": 844}, {"width": 360, "height": 844})

_TOO_SMALL = """(least) => [
    ...document.querySelectorAll("button, summary, [role=menuitem], [role=tab], nav a, input[type=text]")
  ]
  .filter((element) => element.checkVisibility() && !element.closest('[role="columnheader"]'))
  .map((element) => ({ box: element.getBoundingClientRect(), name: element.ariaLabel ?? element.textContent }))
  .filter(({ box }) => box.width > 1 && (box.height < least || box.width < least / 2))
  .map(({ box, name }) => `${name}: ${box.width} x ${box.height}`)"""
_WIDTH = "() => document.documentElement.scrollWidth"


async def test_a_finger_finds_everything(own_place: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(own_place.server.url, viewport=PHONES[0], is_mobile=True, has_touch=True)
    page = screen.page
    device = await own_place.device()
    await screen.enter(own_place.operator.person)
    for path in ("/", f"/devices/{device}", "/add-device", "/settings", "/nowhere"):
        await screen.goto(path)
        await screen.live()
        if path == "/add-device":
            await page.get_by_role("button", name="Create the line").click()
            await expect(page.get_by_test_id("enroll-line")).to_be_visible()
        elif path.startswith("/devices"):
            await expect(page.get_by_test_id("history").first).to_be_visible()
        await expect(page.get_by_role("heading").first).to_be_visible()
        for phone in PHONES:
            await screen.resize(phone)
            assert await page.evaluate(_TOO_SMALL, FINGER_PX) == [], (path, phone)
            assert await page.evaluate(_WIDTH) <= phone["width"], (path, phone)


async def test_a_notification_leaves_the_way_between_the_pages_free(place: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(place.server.url, viewport={"width": 390, "height": 844}, is_mobile=True)
    await place.device()
    await screen.enter(place.operator.person)
    await screen.counts(online=1)
    await place.fleet.kill(1)
    toast = screen.page.get_by_test_id("toast")
    await expect(toast).to_be_visible()
    rail = await screen.page.get_by_role("navigation", name="Main").bounding_box()
    shown = await toast.bounding_box()
    assert rail and shown
    assert shown["y"] + shown["height"] <= rail["y"]
