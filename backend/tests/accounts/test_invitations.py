"""Invitations: shown once, used once, and worth nothing once they are over."""

import asyncio
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.models import Invitation, User
from app.accounts.permissions import Role
from app.accounts.service import AccountService
from app.audit.models import AuditEntry
from app.clock import utcnow
from app.db import Database
from tests.support.node import Lines, Serve
from tests.support.server import Browse, MakePerson, ManualClock

INVITATIONS = "/api/v1/invitations"
LOOK = "/api/v1/auth/invitation"
ACCEPT = "/api/v1/auth/invitation/accept"
NEW = "bob@example.test"
SECRET = "a password of my own"


async def invite(client: httpx2.AsyncClient, email: str = NEW, **more: Any) -> dict[str, Any]:
    """An invitation; `token` is what its link has behind the #."""
    answer = await client.post(INVITATIONS, json={"email": email, "role": "operator", **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    page, _, token = made["link"].partition("#")
    assert page.endswith("/invitation")
    return {**made, "token": token}


async def test_the_life_of_an_invitation(
    serve: Serve, browse: Browse, person: MakePerson, lines: Lines, db: Database
) -> None:
    node = await serve(public_url=["https://deployx.example.test"])
    root = await person("root@example.test")
    admin, stranger = browse(node, root.bearer), browse(node)
    made = await invite(admin, " Bob@Example.test ")
    assert made["link"].startswith("https://deployx.example.test/invitation#dxi_")
    assert (made["email"], made["role"], made["state"], made["created_by"]) == (NEW, "operator", "open", root.email)
    looked = await stranger.post(LOOK, json={"token": made["token"]})
    assert (looked.json()["email"], looked.json()["role"]) == (NEW, "operator")
    weak = await stranger.post(ACCEPT, json={"token": made["token"], "password": "short"})
    assert weak.status_code == 422
    accepted = await stranger.post(ACCEPT, json={"token": made["token"], "password": SECRET})
    assert (accepted.status_code, accepted.json()["role"]) == (201, "operator")
    signed_in = await stranger.post("/api/v1/auth/login", json={"email": NEW, "password": SECRET})
    assert signed_in.status_code == 200
    for path, body in ((LOOK, {}), (ACCEPT, {"password": SECRET})):
        answer = await stranger.post(path, json={"token": made["token"], **body})
        assert (answer.status_code, answer.json()["code"]) == (404, "invalid_invitation")
    [listed] = (await admin.get(INVITATIONS)).json()["items"]
    assert listed["state"] == "used"
    assert (await admin.delete(f"{INVITATIONS}/{made['id']}")).status_code == 204  # nothing left to revoke
    taken = await admin.post(INVITATIONS, json={"email": NEW, "role": "viewer"})
    assert (taken.status_code, taken.json()["code"]) == (409, "user_exists")
    async with db.read() as session:
        entries = await session.execute(
            sa.select(AuditEntry.action, AuditEntry.actor).where(AuditEntry.object_kind == "invitation")
        )
        assert [tuple(entry) for entry in entries] == [("invitation.created", root.email), ("invitation.accepted", NEW)]
        stored = (await session.scalars(sa.select(Invitation))).one()
        assert made["token"] not in str(vars(stored))
    assert made["token"][4:] not in "\n".join(lines())


async def test_threat_09_an_invitation_makes_one_user_however_many_use_it(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    made = await invite(browse(node, (await person("root@example.test")).bearer))
    body = {"token": made["token"], "password": SECRET}
    answers = await asyncio.gather(*(browse(node).post(ACCEPT, json=body) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201, *[404] * 11]
    async with node.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).where(User.email == NEW)) == 1


@pytest.mark.parametrize("how", ["revoked", "replaced", "expired", "demoted", "disabled", "guessed"])
async def test_threat_15_an_invitation_that_is_over_lets_nobody_in(
    how: str, serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve()
    root, ada = await person("root@example.test"), await person("ada@example.test")
    as_ada, as_root = browse(node, ada.bearer), browse(node, root.bearer)
    made = await invite(as_ada, role="admin")
    if how == "revoked":
        assert (await as_root.delete(f"{INVITATIONS}/{made['id']}")).status_code == 204
    elif how == "replaced":
        await invite(as_root, role="viewer")
    elif how == "expired":
        async with db.write() as session:
            await session.execute(sa.update(Invitation).values(expires_at=utcnow()))
    elif how in ("demoted", "disabled"):
        what = {"role": "operator"} if how == "demoted" else {"disabled": True}
        assert (await as_root.patch(f"/api/v1/users/{ada.id}", json=what)).status_code == 200
    token = made["token"][:-1] + ("a" if made["token"][-1] != "a" else "b") if how == "guessed" else made["token"]
    for path, body in ((LOOK, {}), (ACCEPT, {"password": SECRET})):
        answer = await browse(node).post(path, json={"token": token, **body})
        assert (answer.status_code, answer.json()["code"]) == (404, "invalid_invitation")
    states = {"demoted": "void", "disabled": "void", "guessed": "open", "replaced": "revoked"}
    shown = {one["id"]: one["state"] for one in (await as_root.get(INVITATIONS)).json()["items"]}
    assert shown[made["id"]] == states.get(how, how)
    async with db.read() as session:
        assert await session.scalar(sa.select(User.id).where(User.email == NEW)) is None


@pytest.mark.databases("sqlite")
async def test_threat_07_no_other_site_takes_an_invitation(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    made = await invite(browse(node, (await person("root@example.test")).bearer))
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        for path, body in ((LOOK, {}), (ACCEPT, {"password": SECRET})):
            answer = await browse(node, headers).post(path, json={"token": made["token"], **body})
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert (await browse(node).post(LOOK, json={"token": made["token"]})).status_code == 200


async def test_old_invitations_are_forgotten(
    accounts: AccountService, person: MakePerson, db: Database, clock: ManualClock
) -> None:
    root = await person("root@example.test")
    principal = await accounts.authenticate_token(root.token)
    await accounts.invitations.create(principal, NEW, Role.VIEWER, 3600)
    clock.advance(days=30)
    await accounts.prune()
    assert len(await accounts.invitations.all()) == 1
    clock.advance(hours=2)
    await accounts.prune()
    assert await accounts.invitations.all() == []
