"""Sharing in two browsers at once: a group is shared, what it holds appears for the other one, and goes again."""

from playwright.async_api import expect

from tests.conftest import Operate
from tests.e2e.conftest import OpenScreen, Place
from tests.support.browser import Screen


async def test_threat_12_a_shared_group_appears_in_the_other_browser_and_goes_again(
    place: Place, screen: Screen, operate: Operate, open_screen: OpenScreen
) -> None:
    page = screen.page
    shared, hidden = await place.stock(["shared-1", "hidden-1"])
    made = await place.operator.ask("POST", "/groups", {"name": "pets", "device_ids": [shared]})
    other = await operate(place.server, await place.newcomer())
    theirs = await open_screen(place.server.url)
    await theirs.enter(other.person)
    await expect(theirs.page.get_by_test_id("device-row")).to_have_count(0)

    await screen.goto("/runs/new")
    await screen.live()
    await page.get_by_role("button", name="Groups").click()
    await page.get_by_role("button", name="Share the group pets").click()
    address = page.get_by_label("E-mail of whom to share pets with")
    await address.fill("nobody@example.test")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("group").get_by_role("alert")).to_contain_text(
        "There is no user with this address."
    )
    await address.fill(other.person.email)
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("member")).to_contain_text(other.person.email)
    await expect(page.get_by_test_id("group")).to_contain_text("shared with 1")
    assert await screen.axe() == []
    screen.forgiven.append("422")

    # the other one sees it without doing anything, and why, and cannot change it
    await expect(theirs.row(shared)).to_be_visible()
    await expect(theirs.page.get_by_label("Devices online over time")).to_contain_text("now 0 of 0 of your own")
    await theirs.goto(f"/devices/{shared}")
    await theirs.live()
    panel = theirs.page.get_by_role("complementary", name="Device shared-1")
    await expect(panel.get_by_test_id("access")).to_contain_text("Shared with you through pets (viewer).")
    for name in ("Rename", "Delete", "Run…"):
        await expect(panel.get_by_role("button", name=name)).to_have_attribute("aria-disabled", "true")
    assert await theirs.axe() == []
    await page.get_by_label(f"Role of {other.person.email}").select_option("operator")
    await theirs.goto(f"/devices/{shared}")
    await theirs.live()
    await expect(panel.get_by_role("button", name="Run…")).not_to_have_attribute("aria-disabled", "true")

    # the owner is told that it was run there, and by whom
    run = await other.ask("POST", "/runs", {"command": ["date"], "targets": {"selector": "*"}})
    await screen.goto(f"/devices/{shared}")
    await screen.live()
    await expect(page.get_by_test_id("access")).to_contain_text(f"Shared with {other.person.email} (operator, pets).")
    await page.get_by_role("tab", name="Runs").click()
    await expect(page.get_by_test_id("device-tasks")).to_contain_text(f"A run of {other.person.email}")
    await expect(page.get_by_test_id("device-tasks").get_by_role("link")).to_have_count(0)

    # it is taken back while the other one looks at it
    await place.operator.ask("DELETE", f"/groups/{made['id']}/members/{other.person.id}")
    await expect(theirs.page.get_by_text("This device is not there")).to_be_visible()
    await expect(theirs.page.get_by_test_id("device-row")).to_have_count(0)
    theirs.forgiven.append("404")
    await theirs.goto(f"/runs/{run['id']}")
    await theirs.live()
    await expect(theirs.page.get_by_role("heading", level=1)).to_contain_text("date")
    assert "shared-1" not in await theirs.page.content()
    assert "hidden-1" not in "\n".join(theirs.received)
    assert hidden
