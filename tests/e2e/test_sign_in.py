"""Signing in and out in a real browser."""

from playwright.async_api import expect

from tests.e2e.conftest import OpenScreen, Place
from tests.support.browser import Screen
from tests.support.server_process import ADMIN, ServerProcess


async def test_a_wrong_password_is_said_in_a_sentence(shared_server: ServerProcess, open_screen: OpenScreen) -> None:
    screen = await open_screen(shared_server.url)
    screen.forgiven.append("401")
    await screen.goto("/settings")
    await expect(screen.page).to_have_url(f"{shared_server.url}/sign-in?next=%2Fsettings")
    await screen.fill_sign_in(ADMIN, "not the password")
    await expect(screen.page.get_by_role("alert")).to_have_text(
        "This e-mail address and password do not belong together."
    )
    await screen.fill_sign_in(ADMIN)
    await expect(screen.page).to_have_url(f"{shared_server.url}/settings")
    await screen.live()


async def test_whoever_signs_out_is_out_in_every_tab(place: Place, screen: Screen) -> None:
    await place.device()
    other = await screen.context.new_page()
    await other.goto(screen.url)
    await expect(other.get_by_test_id("device-row")).to_have_count(1)
    screen.forgiven.append("401")
    await screen.page.get_by_role("button", name="Account").click()
    await screen.page.get_by_role("menuitem", name="Sign out").click()
    await expect(screen.page).to_have_url(f"{screen.url}/sign-in")
    await expect(other.get_by_role("heading", name="Sign in to DeployX")).to_be_visible()
    await expect(other.get_by_test_id("device-row")).to_have_count(0)
    await screen.goto("/")
    await expect(screen.page).to_have_url(f"{screen.url}/sign-in")


async def test_a_disabled_user_is_shown_the_sign_in_page(place: Place, open_screen: OpenScreen) -> None:
    ada = await place.newcomer()
    screen = await open_screen(place.server.url)
    screen.forgiven.append("401")
    await screen.enter(ada)
    await place.server.command("disable-user", ada.email)
    await expect(screen.page.get_by_role("heading", name="Sign in to DeployX")).to_be_visible()
