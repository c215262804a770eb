"""Working with the list: search, filters, the palette, names, tags, deletion; on a phone, and in the dark."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import OpenScreen, Place
from tests.support import rows
from tests.support.browser import Screen

_BRIGHTNESS = """() => {
  const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
  return red + green + blue;
}"""


@pytest.fixture
async def stocked(place: Place) -> Place:
    """Twelve devices that are not connected, some on Windows."""
    async with place.server.db.write() as session:
        session.add_all(
            rows.device(number, device_name=f"web-{number:02}", platform="windows" if number % 3 == 0 else "linux")
            for number in range(1, 13)
        )
    return place


async def test_search_and_filters_are_in_the_address_and_survive_a_reload(stocked: Place, screen: Screen) -> None:
    page = screen.page
    await expect(page.get_by_test_id("device-row")).to_have_count(12)
    await page.get_by_label("Search devices").fill("web-0")
    await expect(page.get_by_test_id("list-count")).to_have_text("9 of 12 devices match")
    await page.get_by_role("search").get_by_role("button", name="Platform").click()
    await page.get_by_label("windows (4)").check()
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
    page, device = screen.page, (await stocked.server.rows())[0].id
    await screen.row(device).get_by_role("link").click()
    await page.get_by_role("button", name="Rename").click()
    await page.get_by_role("textbox", name="Rename").fill("printer on the second floor")
    await page.keyboard.press("Enter")
    await expect(screen.row(device)).to_contain_text("printer on the second floor")
    await page.get_by_role("button", name="Add tag").click()
    await page.get_by_label("New tag").fill("role=print")
    # The list shows the tag before the server has it, so the server's row is read after its answer.
    async with page.expect_response(lambda answer: answer.request.method == "PATCH") as answered:
        await page.keyboard.press("Enter")
    assert (await answered.value).ok
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
    await other.sign_in(stocked.operator.person)
    device = (await stocked.server.rows())[0].id
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


@pytest.mark.parametrize("width", [360, 390])
async def test_a_phone_shows_everything_within_its_width(stocked: Place, open_screen: OpenScreen, width: int) -> None:
    screen = await open_screen(
        stocked.server.url, viewport={"width": width, "height": 844}, has_touch=True, is_mobile=True
    )
    await screen.sign_in(stocked.operator.person)
    page, device = screen.page, (await stocked.server.rows())[0].id
    for path in ("/", f"/devices/{device}", "/settings", "/add-device"):
        await screen.goto(path)
        await screen.live()
        wide = await page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= width, f"{path} scrolls sideways: {wide} px"
    await screen.goto("/")
    await expect(screen.row(device)).to_be_visible()
    rail = await page.get_by_role("navigation", name="Main").bounding_box()
    assert rail is not None
    assert rail["y"] + rail["height"] == pytest.approx(844, abs=2), "the rail is at the bottom"
    await screen.row(device).get_by_role("link").tap()
    await expect(page.get_by_test_id("device-name")).to_be_visible()
    await expect(screen.row(device)).to_be_hidden()
    await page.get_by_role("button", name="Back to the list").tap()
    await expect(screen.row(device)).to_be_visible()


async def test_dark_follows_the_system_and_the_choice_stays(stocked: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(stocked.server.url, color_scheme="dark")
    await screen.sign_in(stocked.operator.person)
    page = screen.page
    assert await page.evaluate(_BRIGHTNESS) < 200
    await page.get_by_role("button", name="Theme: As the system").click()
    await page.get_by_role("menuitem", name="Light").click()
    await expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "light")
    assert await page.evaluate(_BRIGHTNESS) > 600
    await page.reload()
    await screen.live()
    assert await page.evaluate(_BRIGHTNESS) > 600
