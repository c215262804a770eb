"""Two people, each with devices of their own, both watching: neither browser is sent anything of the other's."""

import signal

from playwright.async_api import expect

from tests.conftest import Operate
from tests.e2e.conftest import OpenScreen, Place


async def test_threat_12_two_browsers_are_sent_nothing_of_each_others(
    place: Place, operate: Operate, open_screen: OpenScreen
) -> None:
    people = [await operate(place.server, await place.newcomer()) for _ in range(2)]
    screens, marks, ids = [], [], []
    for number, one in enumerate(people, 1):
        token = await one.enrollment_token(max_uses=2)
        await place.fleet.start(number, enrollment_token=token, agent_id=f"only-of-{number}")
        [device] = await one.until(1, agent_id=f"only-of-{number}", status="online")
        await one.ask("PATCH", f"/devices/{device['id']}", {"device_name": f"name-of-{number}"})
        marks.append([f"only-of-{number}", f"name-of-{number}", place.fleet.machine_id(number), one.person.email])
        ids.append(device["id"])
    for one in people:
        screens.append(await open_screen(place.server.url))
        await screens[-1].enter(one.person)
        await expect(screens[-1].page.get_by_test_id("device-row")).to_have_count(1)

    # each device goes and comes while both watch, and both open every page
    for number, one in enumerate(people, 1):
        assert await place.fleet.running[number].end(signal.SIGTERM) == 0
        await place.fleet.start(number, agent_id=f"only-of-{number}")
        await one.until(1, agent_id=f"only-of-{number}", status="online")
    for screen in screens:
        await screen.counts(online=1, offline=0)
        screen.forgiven.append("404")
        for device_id in ids:
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
