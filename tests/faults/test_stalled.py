"""A hundred dashboards that do not read, of a real server with its real patience: memory and the others are spared."""

import time

import pytest

from app.serve import STALLED_S
from tests.conftest import Operate, StartServer, WatchServer
from tests.support import rows
from tests.support.memory import forget_peak, resident_mib
from tests.support.node import eventually
from tests.support.server_process import Operator
from tests.support.stalled import held, stalled

STALLED = 100
DEVICES = 3_000
GROWTH_MIB = 3 * STALLED
LOOK_S = 15.0
"""Longer than what lies between two looks for those that do not read."""


async def watching(operator: Operator) -> int:
    """How many dashboards the server has."""
    text = (await operator.client.get(operator.server.url + "/metrics")).text
    [line] = [line for line in text.splitlines() if line.startswith("deployx_dashboard_connections ")]
    return int(float(line.split()[1]))


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.timeout(300)
async def test_fault_19_a_hundred_dashboards_that_do_not_read_for_as_long_as_they_may(
    sqlite_url: str, start_server: StartServer, operate: Operate, watch_server: WatchServer
) -> None:
    server = await start_server(sqlite_url, forked=False)
    facts = {f"fact{number}": "x" * 50 for number in range(4)}
    async with server.db.write() as session:
        session.add_all(rows.device(number, facts=facts) for number in range(1, DEVICES + 1))
    operator = await operate(server)
    steady = await watch_server(server, operator.person.token, batch=True)
    forget_peak(server.pid)
    before = resident_mib(server.pid)
    connections = held(server.port)
    async with stalled(server.port, operator.person.token, STALLED):

        async def all_are_in() -> bool:
            return await watching(operator) == STALLED + 1

        async def one_is_left() -> bool:
            return await watching(operator) == 1

        await eventually(all_are_in, what="all of them in")
        began = time.monotonic()
        assert len(await steady.snapshot()) == DEVICES
        await eventually(one_is_left, within_s=STALLED_S + LOOK_S, what="the end of all that do not read")
        assert time.monotonic() - began > STALLED_S / 2, "it has patience"
        await eventually(lambda: held(server.port) <= connections, what="the end of their connections")
        assert len(await steady.snapshot()) == DEVICES
    assert resident_mib(server.pid, peak=True) - before < GROWTH_MIB
    assert steady.open
