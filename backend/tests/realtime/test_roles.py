"""A role that changes while its user watches: what may be seen changes with it, soon and for that user alone."""

import asyncio

import pytest

from app.accounts.permissions import Role
from app.accounts.service import AccountService
from deployx_protocol import events
from tests.support import rows
from tests.support.node import Serve
from tests.support.peers import Watch
from tests.support.server import MakePerson


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(("before", "after", "seen"), [(Role.ADMIN, Role.VIEWER, 1), (Role.VIEWER, Role.ADMIN, 2)])
async def test_threat_15_another_role_reaches_open_dashboards_within_five_seconds(
    before: Role, after: Role, seen: int, serve: Serve, person: MakePerson, watch: Watch, accounts: AccountService
) -> None:
    node, ada, bob = await serve(), await person(), await person("bob@example.test", before)
    async with node.db.write() as session:
        session.add_all([rows.device(1, user_id=bob.id), rows.device(2, user_id=ada.id)])
    bobs, adas = await watch(node, bob, batch=True), await watch(node, ada, batch=True)
    await accounts.set_role(bob.email, after)
    async with asyncio.timeout(5):
        ended = await bobs.payload(events.SESSION_ENDED)
        assert (ended["code"], ended["retryable"]) == ("role_changed", True)
        await bobs.ended()
    assert adas.open
    again = await watch(node, bob, batch=True)
    assert [payload["total"] for name, payload in again.heard if name == events.SNAPSHOT_BEGIN] == [seen]
