"""How soon two browsers show what happens to real agents. The clock of the pages is the clock of the kill."""

import asyncio
import time
from datetime import datetime

import pytest

from tests.e2e.conftest import OpenScreen, Place
from tests.support.browser import Screen

AGENTS = range(50)
SHOWN_WITHIN_S = 1.0
TALL = {"width": 1280, "height": 3000}


async def two_screens(place: Place, open_screen: OpenScreen) -> list[Screen]:
    """Tall ones, so that every row is on the screen."""
    screens = [await open_screen(place.server.url, viewport=TALL) for _ in range(2)]
    for screen in screens:
        await screen.enter(place.operator.person)
    return screens


@pytest.mark.serial
@pytest.mark.timeout(600)
async def test_each_change_of_fifty_agents_is_shown_in_two_browsers_within_a_second(
    place: Place, open_screen: OpenScreen
) -> None:
    screens = await two_screens(place, open_screen)
    await place.device(0)
    for screen in screens:
        await screen.counts(online=1)
        await screen.observe()
    await place.fleet.start_all(AGENTS[1:])
    devices = await place.operator.until(len(AGENTS), status="online")
    saved_at = {one["id"]: datetime.fromisoformat(one["status_since"]).timestamp() for one in devices}
    for screen in screens:
        await screen.counts(online=len(AGENTS))
        seen = await screen.seen("online")
        late = {id: seen[id] - at for id, at in saved_at.items() if id in seen and seen[id] - at > SHOWN_WITHIN_S}
        assert len(seen) >= len(AGENTS) - 1
        assert late == {}, "shown later than a second after the server knew"

    killed_at: dict[int, float] = {}
    numbers = {place.fleet.machine_id(number): number for number in AGENTS}
    for one in devices:
        killed_at[one["id"]] = time.time()
        await place.fleet.kill(numbers[one["machine_id"]])
        await asyncio.sleep(0.05)  # one after another, as machines die
    for screen in screens:
        await screen.counts(offline=len(AGENTS))
        gone = await screen.seen("offline")
        assert set(gone) == set(killed_at)
        late = {id: gone[id] - at for id, at in killed_at.items() if gone[id] - at > SHOWN_WITHIN_S}
        assert late == {}, "shown later than a second after the kill"
