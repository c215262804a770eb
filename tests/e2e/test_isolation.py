"""Two people, each with devices of their own, both watching: neither browser is sent anything of the other's."""

import signal

from playwright.async_api import expect

from tests.e2e.conftest import OpenScreen, Place


async def test_threat_12_two_browsers_are_sent_nothing_of_each_others(place: Place, open_screen: OpenScreen) -> None:
    people = [await place.server.add_user(f"{name}@example.test") for name in ("ada", "grace")]
    screens, marks = [], []
    for number, person in enumerate(people, 1):
        token = await place.server.command("create-enrollment-token", "--owner", person.email)
        await place.fleet.start(number, enrollment_token=token, agent_id=f"only-of-{number}")
        [device] = await place.operator.until(1, agent_id=f"only-of-{number}", status="online")
        await place.operator.ask("PATCH", f"/devices/{device['id']}", {"device_name": f"name-of-{number}"})
        marks.append([f"only-of-{number}", f"name-of-{number}", f"machine-0{number}", person.email])
    for person in people:
        screens.append(await open_screen(place.server.url))
        await screens[-1].sign_in(person)
        await expect(screens[-1].page.get_by_test_id("device-row")).to_have_count(1)

    # each device goes and comes while both watch, and both open every page
    for number in (1, 2):
        assert await place.fleet.running[number].end(signal.SIGTERM) == 0
        await place.fleet.start(number, agent_id=f"only-of-{number}")
        await place.operator.until(1, agent_id=f"only-of-{number}", status="online")
    ids = {row.agent_id: row.id for row in await place.server.rows()}
    for screen in screens:
        await screen.counts(online=1, offline=0)
        screen.forgiven.append("404")
        for device_id in ids.values():
            await screen.goto(f"/devices/{device_id}")
            await screen.live()
        await screen.goto("/settings")
        await screen.live()

    for own, screen in enumerate(screens):
        received = "\n".join(screen.received)
        for mark in marks[own]:
            assert mark in received, "the capture holds what it should"
        for mark in marks[1 - own]:
            assert mark not in received
            assert mark not in await screen.page.content()
