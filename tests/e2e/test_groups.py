"""Groups of devices in a browser: made from a selection and from a selector, taken, renamed, forgotten."""

from playwright.async_api import expect

from tests.e2e.conftest import Place
from tests.support.browser import Screen


async def test_groups_are_made_taken_renamed_and_forgotten(place: Place, screen: Screen) -> None:
    page = screen.page
    first, second, _ = await place.stock(["web-1", "web-2", "db-1"])
    await screen.goto()
    for device in (first, second):
        await screen.row(device).get_by_role("checkbox").check()
    await page.get_by_role("region", name="Selection").get_by_role("button", name="Group").click()
    await page.get_by_label("Name of the group").fill("my pets")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)

    await screen.goto("/runs/new")
    await screen.live()
    groups = page.get_by_role("button", name="Groups")
    await groups.click()
    await expect(page.get_by_test_id("group")).to_contain_text("2 devices · picked")
    assert await screen.axe() == []
    await page.get_by_role("button", name="my pets 2 devices").click()
    selector = page.get_by_label("Selector")
    await expect(selector).to_have_value('group="my pets"')
    await expect(page.get_by_test_id("preview")).to_contain_text("2 devices")

    await selector.fill("name=web-*,name!=web-1")
    await expect(page.get_by_test_id("preview")).to_contain_text("1 device")
    await groups.click()
    await page.get_by_label("Keep these devices as").fill("rest")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("group").filter(has_text="rest")).to_contain_text("1 device · name=web-*")
    await page.get_by_role("button", name="Rename rest").click()
    await page.get_by_role("textbox", name="Rename rest").fill("others")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("group").filter(has_text="others")).to_be_visible()
    await page.get_by_role("button", name="Forget the group others").click()
    await expect(page.get_by_test_id("group")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(groups).to_be_focused()

    await selector.fill("name=web-*,grop=x")
    await expect(page.get_by_test_id("selector-place").locator("mark")).to_have_text("g")
    await expect(page.get_by_text("did you mean group")).to_be_visible()
