"""A hundred dashboards that do not read: what they cost is bounded, they are cut off, and the others notice nothing."""

import os

import httpx2
import pytest

from tests.support import rows
from tests.support.memory import forget_peak, resident_mib
from tests.support.node import Lines, RunningNode, Serve, eventually
from tests.support.peers import Watch
from tests.support.server import MakePerson
from tests.support.stalled import held, stalled

STALLED = 100
DEVICES = 3_000
GROWTH_MIB = 3 * STALLED


# One kind is enough: what is tested lies between the server and the network.
pytestmark = pytest.mark.databases("sqlite")


@pytest.mark.serial
async def test_fault_19_a_hundred_dashboards_that_do_not_read_are_cut_off(
    serve: Serve, watch: Watch, person: MakePerson, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serve.STALLED_S", 5)
    node, ada = await serve(), await person()
    facts = {f"fact{number}": "x" * 50 for number in range(4)}
    async with node.db.write() as session:
        session.add_all(rows.device(number, facts=facts) for number in range(1, DEVICES + 1))
    steady = await watch(node, ada, batch=True)
    await steady.snapshot()
    forget_peak(os.getpid())
    before = resident_mib(os.getpid())
    async with stalled(node.settings.port, ada.token, STALLED):
        await eventually(lambda: _have_entered(lines()) == STALLED + 1, what="all of them in")
        assert len(await steady.snapshot()) == DEVICES
        await eventually(lambda: _watching(node, ada.bearer, 1), within_s=30, what="the end of all that do not read")
        await eventually(lambda: held(node.settings.port) == 1, what="the end of their connections")
    grown = resident_mib(os.getpid(), peak=True) - before
    assert grown < GROWTH_MIB
    assert steady.open
    assert len(await steady.snapshot()) == DEVICES


def _have_entered(lines: list[str]) -> int:
    return sum("dashboard.connected" in line for line in lines)


async def _watching(node: RunningNode, bearer: dict[str, str], wanted: int) -> bool:
    async with httpx2.AsyncClient(base_url=node.url, headers=bearer) as http:
        text = (await http.get("/metrics")).text
    return f"deployx_dashboard_connections {wanted:.1f}" in text.splitlines()
