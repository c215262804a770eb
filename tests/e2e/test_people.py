"""People in the settings: somebody is invited, accepts, gets another role, and is shut out."""

from playwright.async_api import expect

from tests.e2e.conftest import OpenScreen, Place

PASSWORD = "a password of my own"


async def test_somebody_is_invited_accepts_and_is_shut_out(own_place: Place, open_screen: OpenScreen) -> None:
    screen, invited = await open_screen(own_place.server.url), await open_screen(own_place.server.url)
    await screen.enter(own_place.operator.person, "/settings")
    page = screen.page
    await page.get_by_label("E-mail of whom to invite").fill("new@example.test")
    await page.get_by_label("They become").select_option("operator")
    await page.get_by_role("button", name="Invite").click()
    link = await page.get_by_test_id("invitation-link").inner_text()
    assert await screen.axe() == []
    await page.get_by_role("button", name="I have copied it").click()
    listed = page.get_by_test_id("invitations").get_by_test_id("token-row")
    await expect(listed).to_contain_text("as operator")
    assert link.startswith(f"{own_place.server.url}/invitation#dxi_")

    # the secret is neither in the address any more nor in anything that the server was asked for
    secret = link.partition("#")[2]
    asked: list[str] = []
    invited.page.on("request", lambda request: asked.append(request.url))
    await invited.page.goto(link)
    await expect(invited.page.get_by_label("E-mail")).to_have_value("new@example.test")
    assert await invited.axe() == []
    assert secret not in invited.page.url
    assert secret not in "".join(asked)
    await invited.page.locator("input[name=password]").fill(PASSWORD)
    await invited.page.get_by_role("button", name="Accept the invitation").click()
    await invited.page.wait_for_url("**/sign-in")
    await invited.fill_sign_in("new@example.test", PASSWORD)
    await invited.live()
    again = await open_screen(own_place.server.url)
    again.forgiven.append("404")
    await again.page.goto(link)
    await expect(again.page.get_by_role("alert")).to_contain_text("cannot be used")

    await page.reload()
    await screen.live()
    await expect(listed).to_contain_text("accepted")
    people = page.get_by_test_id("person")
    new = people.filter(has_text="new@example.test")
    await new.get_by_label("Role of new@example.test").select_option("viewer")
    await expect(new.get_by_label("Role of new@example.test")).to_have_value("viewer")
    await new.get_by_role("button", name="Shut out").click()
    invited.forgiven.append("401")
    await page.get_by_role("dialog").get_by_role("button", name="Shut out").click()
    await expect(new).to_contain_text("shut out")
    await invited.page.wait_for_url("**/sign-in**")
    # nobody is left who could undo it
    screen.forgiven.append("409")
    mine = people.filter(has_text="you")
    await mine.get_by_role("combobox").select_option("viewer")
    await expect(mine.get_by_role("alert")).to_contain_text("only administrator")
    await expect(mine.get_by_role("combobox")).to_have_value("admin")
