"""What waits for a person: devices to accept, and identities in conflict."""

from playwright.async_api import expect

from tests.conftest import MakeFleet, Operate, StartServer
from tests.e2e.conftest import OpenScreen, Place
from tests.support import people
from tests.support.browser import Screen
from tests.support.server_process import ADMIN


async def test_a_pending_device_is_accepted(
    sqlite_url: str, start_server: StartServer, operate: Operate, make_fleet: MakeFleet, open_screen: OpenScreen
) -> None:
    server = await start_server(sqlite_url, enrollment="approval")
    operator = await operate(server, await people.signed_in(server.db, ADMIN))
    screen = await open_screen(server.url)
    await screen.enter(operator.person)
    agent = await make_fleet(server.url).start(1)
    card = screen.page.get_by_test_id("attention").get_by_test_id("pending-device")
    await expect(card).to_have_count(1)
    await expect(card).to_contain_text("Pending")
    await screen.counts(pending=1)
    await card.get_by_role("button", name="Accept").click()
    await expect(screen.page.get_by_test_id("attention")).to_have_count(0)
    await screen.counts(pending=0, online=1)
    [device] = await operator.until(1, trust="trusted", status="online")
    assert device["owner"] == operator.person.email
    assert agent.process.returncode is None


async def test_a_copied_machine_is_shown_and_split(place: Place, screen: Screen) -> None:
    place.fleet.settings["machine_id"] = None
    device = await place.device()
    place.fleet.copy(1, 2)
    await place.fleet.start(2)
    claim = screen.page.get_by_test_id("attention").get_by_test_id("claim")
    await expect(claim).to_have_attribute("data-kind", "cloned")
    await expect(claim).to_contain_text("Two machines with one identity")
    await expect(screen.row(device)).to_contain_text("Quarantined")
    await screen.counts(quarantined=1)
    await expect(claim).to_contain_text(", connected now")
    await claim.get_by_role("button", name="Split").click()
    await expect(screen.page.get_by_test_id("attention")).to_have_count(0)
    await screen.counts(quarantined=0, online=2)
    await place.operator.until(2, trust="trusted", status="online")


async def test_a_machine_that_is_known_already_is_no_new_device(place: Place, screen: Screen) -> None:
    await place.device(1)
    page = screen.page
    await screen.counts(online=1)
    await page.get_by_role("link", name="Add device").click()
    await page.get_by_role("button", name="Create the line").click()
    line = await page.get_by_test_id("enroll-line").inner_text()
    token = next(word for word in line.split() if word.startswith("dxe_"))
    await place.fleet.start(2, enrollment_token=token, machine_id=place.fleet.machine_id(1))
    state = page.get_by_test_id("enroll-state")
    await expect(state).to_contain_text("1 machine came, but with the ids of a device that is known already")
    await expect(state).not_to_contain_text("Waiting")
    await page.get_by_role("button", name="Done").click()
    claim = page.get_by_test_id("attention").get_by_test_id("claim")
    await expect(claim).to_contain_text(", connected now")
    await place.fleet.kill(2)
    await expect(claim).to_contain_text("not connected now")
    await screen.counts(online=1)
