"""Two-factor sign-in in a real browser: set up, signed in with, asked for again, turned off; axe looks at each step."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.async_api import Locator, expect

from app.accounts import totp
from app.accounts.models import Session
from app.clock import utcnow
from tests.e2e.conftest import OpenScreen, Place
from tests.support.browser import Screen
from tests.support.server import PASSWORD, Person
from tests.support.server_process import ServerProcess

PROOF = "Show that it is you"


async def grow_old(server: ServerProcess, person: Person) -> None:
    """What this person's sessions have proven counts no more."""
    async with server.db.write() as session:
        await session.execute(sa.update(Session).where(Session.user_id == person.id).values(proven_at=None))


def code_of(key: str, later: int = 0) -> str:
    """What an authenticator with this key shows, or will show some steps later."""
    return totp.code_at(key.replace(" ", ""), totp.step_of(utcnow()) + later)


class Security:
    """What stands in the settings about the second factor."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.page = screen.page
        self.section = screen.page.get_by_test_id("two-factor")
        self.dialog = screen.page.get_by_role("dialog")

    def button(self, name: str) -> Locator:
        """A button of the section."""
        return self.section.get_by_role("button", name=name)

    async def show(self) -> None:
        """Open the settings."""
        await self.screen.goto("/settings")
        await self.screen.live()

    async def prove(self, label: str, typed: str) -> None:
        """Answer the question who it is, by keyboard alone."""
        await expect(self.dialog.get_by_role("heading", name=PROOF)).to_be_visible()
        await expect(self.dialog.get_by_label(label, exact=True)).to_be_focused()
        await self.page.keyboard.type(typed)
        await self.page.keyboard.press("Enter")


@pytest.mark.timeout(300)
async def test_from_setting_it_up_to_turning_it_off(place: Place, open_screen: OpenScreen, tmp_path: Path) -> None:
    ada = await place.newcomer()
    screen = await open_screen(place.server.url)
    screen.forgiven += ["40[13]", "422"]
    await screen.enter(ada, "/settings")
    page, security = screen.page, Security(screen)
    await grow_old(place.server, ada)

    # ---- set up: asked for the password first
    await security.button("Set up").click()
    await screen.stands_every_look(security.dialog)
    await security.prove("Your password", "not the password")
    await expect(security.dialog.get_by_role("alert")).to_contain_text("The password is wrong.")
    await security.prove("Your password", PASSWORD)
    await screen.stands_every_look(security.section.get_by_role("img", name="QR code of the key"))
    key = await page.get_by_test_id("totp-secret").inner_text()
    await security.section.get_by_role("textbox", name="Code").fill("000000")
    await security.button("Turn on").click()
    await expect(security.section.get_by_role("alert")).to_contain_text("Is the clock of the telephone right?")
    await security.section.get_by_role("textbox", name="Code").fill(code_of(key))
    await security.button("Turn on").click()
    listed = page.get_by_test_id("recovery-codes").get_by_role("listitem")
    await expect(listed).to_have_count(10)
    await screen.stands_every_look(listed)
    codes = await listed.all_inner_texts()
    async with page.expect_download() as downloading:
        await security.button("Download").click()
    await (await downloading.value).save_as(tmp_path / "codes.txt")
    assert (tmp_path / "codes.txt").read_text().split() == codes
    await security.button("I have kept them").click()
    await expect(security.section).to_contain_text("10 recovery codes left.")

    # ---- sign in: a code after the password
    await page.get_by_role("button", name="Account").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()
    await screen.goto("/settings")
    await screen.fill_sign_in(ada.email)
    code = page.get_by_label("Code")
    await expect(code).to_be_focused()
    await screen.stands_every_look(code)
    await page.keyboard.type("999999")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("This code is wrong, or was used already.")
    await expect(code).to_be_focused()
    await page.keyboard.type(code_of(key, 1))
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{screen.url}/settings")
    await screen.live()

    # ---- asked again, for a code now; whoever does not answer has done nothing
    await grow_old(place.server, ada)
    tokens = page.get_by_test_id("api-tokens")
    await tokens.get_by_label("Name of the token").fill("Nightly report")
    await tokens.get_by_role("button", name="Create token").click()
    await screen.stands_every_look(security.dialog.get_by_label("Code"))
    await page.keyboard.press("Escape")
    await expect(tokens.get_by_role("alert")).to_contain_text("No token was made.")
    await tokens.get_by_role("button", name="Create token").click()
    await security.prove("Code", codes[0])
    await expect(page.get_by_test_id("api-token")).to_contain_text("dxp_")
    await expect(security.dialog).to_have_count(0)

    # ---- turned off, with both
    await security.button("Turn off").click()
    await screen.stands_every_look(security.dialog)
    await security.dialog.get_by_label("Your password").fill(PASSWORD)
    await security.dialog.get_by_label("Code").fill(codes[0])
    await security.dialog.get_by_role("button", name="Turn off").click()
    await expect(security.dialog.get_by_role("alert")).to_contain_text("was used already")
    await security.dialog.get_by_label("Code").fill(codes[1])
    await security.dialog.get_by_role("button", name="Turn off").click()
    await expect(security.button("Set up")).to_be_visible()
