"""Working with the list: search, filters, the palette, names, tags, deletion; on a phone, and in the dark."""

import contextlib
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, ViewportSize, expect

from tests.e2e.conftest import SHARED, OpenScreen, Place
from tests.support.browser import Screen

PHONES: tuple[ViewportSize, ...] = ({"width": 360, "height": 844}, {"width": 390, "height": 844})

_BRIGHTNESS = """() => {
  const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
  return red + green + blue;
}"""


@pytest_asyncio.fixture(loop_scope=SHARED)
async def stocked(place: Place) -> Place:
    """Twelve devices that are not connected, some on Windows."""
    await place.stock([f"web-{number:02}" for number in range(1, 13)], ("linux", "linux", "windows"))
    return place


@contextlib.asynccontextmanager
async def _saved(page: Page, field: str) -> AsyncIterator[None]:
    """Ends when the server has answered that it saved this field, which is changed in the block."""
    async with page.expect_response(lambda answer: field in (answer.request.post_data or "")) as answered:
        yield
    assert (await answered.value).ok


async def test_search_and_filters_are_in_the_address_and_survive_a_reload(stocked: Place, screen: Screen) -> None:
    page = screen.page
    await expect(page.get_by_test_id("device-row")).to_have_count(12)
    await page.get_by_label("Search devices").fill("web-0")
    await expect(page.get_by_test_id("list-count")).to_have_text("9 of 12 devices match")
    await page.get_by_role("search").get_by_role("button", name="Platform").click()
    windows = page.get_by_label("windows (4)")
    await windows.click()  # not `check`, which asks at once: the box follows the address
    await expect(windows).to_be_checked()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("list-count")).to_have_text("3 of 12 devices match")
    await expect(page).to_have_url(re.compile(r"q=web-0.*platform=windows|platform=windows.*q=web-0"))
    await page.reload()
    await screen.live()
    await expect(page.get_by_test_id("list-count")).to_have_text("3 of 12 devices match")
    await expect(page.get_by_label("Search devices")).to_have_value("web-0")
    await page.get_by_test_id("counter-online").click()
    await expect(page.get_by_test_id("device-row")).to_have_count(0)
    await page.get_by_role("button", name="Clear filters").first.click()
    await expect(page.get_by_test_id("device-row")).to_have_count(12)


async def test_rename_tag_and_delete(stocked: Place, screen: Screen) -> None:
    page, device = screen.page, (await stocked.operator.devices())[0]["id"]
    await screen.row(device).get_by_role("link").click()
    await page.get_by_role("button", name="Rename").click()
    await page.get_by_role("textbox", name="Rename").fill("printer on the second floor")
    # The list shows what is changed before the server has it, so the server's row is read after its answers.
    async with _saved(page, "device_name"):
        await page.keyboard.press("Enter")
        await expect(screen.row(device)).to_contain_text("printer on the second floor")
    await page.get_by_role("button", name="Add tag").click()
    await page.get_by_label("New tag").fill("role=print")
    async with _saved(page, "tags"):
        await page.keyboard.press("Enter")
    await expect(screen.row(device)).to_contain_text("role=print")
    saved = await stocked.operator.ask("GET", f"/devices/{device}")
    assert (saved["device_name"], saved["tags"]) == ("printer on the second floor", {"role": "print"})

    await page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("printer on the second floor")
    await dialog.get_by_role("button", name="Delete device").click()
    await expect(screen.row(device)).to_have_count(0)
    await expect(page.get_by_test_id("device-row")).to_have_count(11)
    assert device not in {row.id for row in await stocked.server.rows()}


async def test_what_one_person_changes_another_sees(stocked: Place, screen: Screen, open_screen: OpenScreen) -> None:
    other = await open_screen(stocked.server.url)
    await other.enter(stocked.operator.person)
    device = (await stocked.operator.devices())[0]["id"]
    await stocked.operator.ask("PATCH", f"/devices/{device}", {"device_name": "renamed elsewhere"})
    for one in (screen, other):
        await expect(one.row(device)).to_contain_text("renamed elsewhere")
    await stocked.operator.ask("DELETE", f"/devices/{device}")
    for one in (screen, other):
        await expect(one.row(device)).to_have_count(0)


async def test_columns_fit_the_screen_and_stand_still_while_one_is_sized(stocked: Place, screen: Screen) -> None:
    page = screen.page
    table = page.get_by_role("table", name="Devices")
    await expect(page.get_by_test_id("device-row")).to_have_count(12)
    assert await table.evaluate("(table) => table.parentElement.scrollWidth - table.parentElement.clientWidth") == 0

    async def widths() -> dict[str, float]:
        return dict(
            await table.evaluate(
                "(table) => [...table.querySelectorAll('[role=columnheader][data-column]')]"
                ".map((head) => [head.dataset.column, Math.round(head.offsetWidth)])"
            )
        )

    before = await widths()
    grip = await page.get_by_label("Width of Name").bounding_box()
    assert grip
    at = (grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    await page.mouse.move(*at)
    await page.mouse.down()
    await page.mouse.move(at[0] + 30, at[1])
    await page.mouse.move(at[0] + 60, at[1])
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(rf"name%3A{before['name'] + 60}|name:{before['name'] + 60}"))
    assert await widths() == {**before, "name": before["name"] + 60}


async def test_ctrl_k_finds_a_device_a_page_and_an_action(stocked: Place, screen: Screen) -> None:
    page = screen.page
    await page.get_by_label("Search devices").click()
    await page.keyboard.press("Control+k")
    search = page.get_by_placeholder("Find a device, page or action")
    await search.fill("web-07")
    await expect(page.get_by_role("dialog").get_by_role("button", name="web-07")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("device-name")).to_have_text("web-07")
    await page.keyboard.press("Control+k")
    await search.fill("settings")
    await expect(page.get_by_role("dialog").get_by_role("button")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{screen.url}/settings")
    await page.keyboard.press("Control+k")
    await search.fill("theme: dark")
    await expect(page.get_by_role("dialog").get_by_role("button")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")


async def test_a_phone_shows_the_list_or_a_device_within_its_width(stocked: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(stocked.server.url, viewport=PHONES[0], has_touch=True, is_mobile=True)
    await screen.enter(stocked.operator.person)
    page, device = screen.page, (await stocked.operator.devices())[0]["id"]
    for phone in PHONES:
        await screen.resize(phone)
        await expect(screen.row(device)).to_be_visible()
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= phone["width"]
        rail = await page.get_by_role("navigation", name="Main").bounding_box()
        assert rail is not None
        assert rail["y"] + rail["height"] == pytest.approx(phone["height"], abs=2), "the rail is at the bottom"
        await screen.row(device).get_by_role("link").tap()
        await expect(page.get_by_test_id("device-name")).to_be_visible()
        await expect(screen.row(device)).to_be_hidden()
        await page.get_by_role("button", name="Back to the list").tap()
        await expect(screen.row(device)).to_be_visible()


async def test_dark_follows_the_system_and_the_choice_stays(stocked: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(stocked.server.url, color_scheme="dark")
    await screen.enter(stocked.operator.person)
    page = screen.page
    assert await page.evaluate(_BRIGHTNESS) < 200
    await page.get_by_role("button", name="Theme: As the system").click()
    await page.get_by_role("menuitem", name="Light").click()
    await expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "light")
    assert await page.evaluate(_BRIGHTNESS) > 600
    await page.reload()
    await screen.live()
    assert await page.evaluate(_BRIGHTNESS) > 600
