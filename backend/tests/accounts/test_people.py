"""What administrators do about others: roles, shutting out, letting in, and who cannot be lost."""

import asyncio

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.audit.models import AuditEntry
from deployx_protocol import events
from tests.support.node import RunningNode, Serve
from tests.support.peers import Watch
from tests.support.server import PASSWORD, Browse, MakePerson, Person

USERS = "/api/v1/users"


async def change(client: httpx2.AsyncClient, who: Person, **what: object) -> tuple[int, str]:
    """The status, and the code of a refusal."""
    answer = await client.patch(f"{USERS}/{who.id}", json=what)
    return answer.status_code, answer.json().get("code", "")


async def recorded(node: RunningNode, who: Person) -> list[tuple[str, str]]:
    """(action, by whom) about a user, in order, without signing in and tokens."""
    async with node.db.read() as session:
        query = sa.select(AuditEntry.action, AuditEntry.actor).where(
            AuditEntry.object_id == str(who.id), AuditEntry.object_kind == "user"
        )
        rows = await session.execute(query.order_by(AuditEntry.seq))
        return [(action, actor) for action, actor in rows if action not in ("user.created", "user.signed_in")]


async def test_roles_change_and_people_are_shut_out_and_let_in(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    root, bob = await person("root@example.test"), await person("bob@example.test", Role.VIEWER)
    client = browse(node, root.bearer)
    listed = (await client.get(USERS)).json()["items"]
    assert [(user["email"], user["role"], user["disabled_at"]) for user in listed] == [
        (bob.email, "viewer", None),
        (root.email, "admin", None),
    ]
    assert await change(client, bob, role="operator") == (200, "")
    assert await change(client, bob, role="operator", disabled=False) == (200, "")  # nothing to do
    assert (await browse(node, bob.bearer).get("/api/v1/auth/me")).json()["role"] == "operator"
    assert await change(client, bob, disabled=True) == (200, "")
    for proof in (bob.bearer, bob.browser):
        assert (await browse(node, proof).get("/api/v1/devices")).status_code == 401
    [told] = [user for user in (await client.get(USERS)).json()["items"] if user["id"] == bob.id]
    assert told["disabled_at"]
    assert await change(client, bob, disabled=False) == (200, "")
    again = await browse(node).post("/api/v1/auth/login", json={"email": bob.email, "password": PASSWORD})
    assert again.status_code == 200
    assert (await client.patch(f"{USERS}/4711", json={"role": "viewer"})).status_code == 404
    assert (await client.patch(f"{USERS}/{bob.id}", json={"role": "owner"})).status_code == 422
    assert await recorded(node, bob) == [
        ("user.role_changed", root.email),
        ("user.disabled", root.email),
        ("user.enabled", root.email),
    ]


async def test_threat_15_the_last_administrator_stays_one(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    root, ada = await person("root@example.test"), await person("ada@example.test")
    client = browse(node, root.bearer)
    assert await change(client, ada, disabled=True) == (200, "")
    for what in ({"role": "operator"}, {"disabled": True}, {"role": "viewer", "disabled": True}):
        assert await change(client, root, **what) == (409, "last_administrator")
    assert await change(client, root, role="admin", disabled=False) == (200, "")
    assert await change(client, ada, disabled=False) == (200, "")

    # each takes the other's place away at the same moment: one of them stays
    ada_again = await browse(node).post("/api/v1/auth/login", json={"email": ada.email, "password": PASSWORD})
    cookie = {"cookie": ada_again.headers["set-cookie"].split(";")[0], "sec-fetch-site": "same-origin"}
    answers = await asyncio.gather(
        change(client, ada, role="viewer"), change(browse(node, cookie), root, role="viewer")
    )
    assert sorted(status for status, _ in answers) in ([200, 403], [200, 409])
    async with node.db.read() as session:
        assert await session.scalar(sa.text("SELECT count(*) FROM users WHERE role = 'admin'")) == 1


@pytest.mark.databases("sqlite")
async def test_threat_15_whoever_is_shut_out_over_the_web_loses_the_socket(
    serve: Serve, browse: Browse, person: MakePerson, watch: Watch
) -> None:
    node = await serve()
    root, bob = await person("root@example.test"), await person("bob@example.test", Role.OPERATOR)
    dashboard = await watch(node, bob, batch=True)
    assert await change(browse(node, root.bearer), bob, disabled=True) == (200, "")
    ended = await dashboard.payload(events.SESSION_ENDED, within_s=5)
    assert ended["code"] == "signed_out"


async def test_threat_15_only_administrators_manage_people_and_no_limited_token_does(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    root, bob = await person("root@example.test"), await person("bob@example.test", Role.OPERATOR)
    made = await browse(node, root.bearer).post("/api/v1/api-tokens", json={"name": "x", "scopes": ["admin"]})
    limited = {"authorization": f"Bearer {made.json()['token']}"}
    for proof in (bob.bearer, bob.browser, limited):
        client = browse(node, proof)
        assert await change(client, bob, role="admin") == (403, "forbidden")
        invited = await client.post("/api/v1/invitations", json={"email": "eve@example.test", "role": "admin"})
        assert invited.status_code == 403
    assert await recorded(node, bob) == []
