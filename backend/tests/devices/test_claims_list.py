"""Open claims, more than fit on a page or into one message: none is lost, and what is left out is told."""

from typing import Any

import httpx2
import pytest

from app.accounts.permissions import Role
from deployx_protocol import events
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.peers import DashboardPeer, Watch
from tests.support.server import Browse, MakePerson

CLAIMS = "/api/v1/claims"
MANY = 620


async def put_many(node: RunningNode, owner: int) -> None:
    """``MANY`` open claims about devices of ``owner``, one about somebody else's, and one that was answered."""
    mine, others = [rows.device(number, user_id=owner) for number in range(MANY)], rows.device(MANY)
    async with node.db.write() as session:
        session.add_all([*mine, others])
    answered = rows.claim(others, state="rejected", hostname="answered")
    async with node.db.write() as session:
        session.add_all([*(rows.claim(device, hostname=device.hostname) for device in mine), answered])
        session.add(rows.claim(others, hostname="others"))


async def listed(client: httpx2.AsyncClient, limit: int) -> list[str]:
    """The claimants of every page, in order; each page but the last is full."""
    names: list[str] = []
    query = {"limit": str(limit)}
    while True:
        page = (await client.get(CLAIMS, params=query)).json()
        names += [claim["hostname"] for claim in page["items"]]
        if page["next_cursor"] is None:
            return names
        assert len(page["items"]) == limit
        query["cursor"] = page["next_cursor"]


def end_of_snapshot(dashboard: DashboardPeer) -> dict[str, Any]:
    """What the one snapshot of ``dashboard`` ended with."""
    [end] = [payload for name, payload in dashboard.heard if name == events.SNAPSHOT_END]
    assert isinstance(end, dict)
    return end


async def test_pages_give_each_open_claim_once(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node, ada = await serve(), await person("ada@example.test")
    bob, eve = await person("bob@example.test", Role.VIEWER), await person("eve@example.test", Role.VIEWER)
    await put_many(node, bob.id)
    bobs = [claim.hostname for claim in await node.claims() if claim.hostname.startswith("host-")]
    assert len(bobs) == MANY
    for limit in (500, MANY // 4):
        assert await listed(browse(node, bob.bearer), limit) == bobs
        assert sorted(await listed(browse(node, ada.bearer), limit)) == sorted([*bobs, "others"])
    assert await listed(browse(node, eve.bearer), 100) == []
    devices = (await browse(node, ada.bearer).get("/api/v1/devices", params={"limit": "1"})).json()
    for bad in ({"limit": "501"}, {"limit": "0"}, {"cursor": "x"}, {"cursor": "1"}, {"cursor": devices["next_cursor"]}):
        assert (await browse(node, bob.bearer).get(CLAIMS, params=bad)).status_code == 422, bad


@pytest.mark.databases("sqlite")
async def test_a_dashboard_is_told_how_many_more_there_are(
    serve: Serve, browse: Browse, watch: Watch, person: MakePerson
) -> None:
    node, bob = await serve(), await person("bob@example.test", Role.OPERATOR)
    await put_many(node, bob.id)
    dashboard = await watch(node, bob, batch=True)
    first = end_of_snapshot(dashboard)
    assert (len(first["claims"]), first["more_claims"]) == (500, MANY - 500)
    oldest = first["claims"][0]
    client = browse(node, bob.bearer)
    assert (await client.post(f"{CLAIMS}/{oldest['id']}/reject")).status_code == 200
    told = await dashboard.payload(events.CLAIMS_CHANGED)
    assert (len(told["claims"]), told["more_claims"]) == (500, MANY - 501)
    assert [claim["id"] for claim in told["claims"][:499]] == [claim["id"] for claim in first["claims"][1:]]


async def test_what_fits_leaves_no_more(serve: Serve, watch: Watch, person: MakePerson) -> None:
    node, bob = await serve(), await person("bob@example.test", Role.VIEWER)
    device = rows.device(1, user_id=bob.id)
    async with node.db.write() as session:
        session.add(device)
    async with node.db.write() as session:
        session.add_all(rows.claim(device) for _ in range(500))
    end = end_of_snapshot(await watch(node, bob, batch=True))
    assert (len(end["claims"]), end["more_claims"]) == (500, 0)
