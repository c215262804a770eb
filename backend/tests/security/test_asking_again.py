"""What reaches far asks again: by password, or by code where there is a second factor; of sessions, never of tokens."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts import totp
from app.accounts.models import Session
from app.accounts.permissions import Role
from app.accounts.principal import Principal
from app.accounts.proof import FRESH, Spree, require_proof
from app.clock import utcnow
from app.db import Database
from app.errors import ProofRequired
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.server import PASSWORD, Browse, MakePerson

# One database: nothing here depends on which it is; what is taken once is tried on both beside the second factor.
pytestmark = pytest.mark.databases("sqlite")

PROOF = "/api/v1/auth/proof"
TOKENS = "/api/v1/api-tokens"
RUNS = "/api/v1/runs"


async def devices(node: RunningNode, owner_id: int, count: int) -> list[int]:
    """Devices of this owner that may be given work."""
    made = [rows.device(number, user_id=owner_id) for number in range(1, count + 1)]
    async with node.db.write() as session:
        session.add_all(made)
    return [one.id for one in made]


async def grow_old(db: Database) -> None:
    """Every session proved itself too long ago."""
    async with db.write() as session:
        await session.execute(sa.update(Session).values(proven_at=utcnow() - FRESH - timedelta(seconds=1)))


def run_on(ids: list[int]) -> dict[str, Any]:
    return {"command": ["true"], "targets": {"device_ids": ids}}


def told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


ASKED = (403, "proof_required")


async def test_threat_15_a_session_that_was_left_open_reaches_few_devices_and_makes_no_token(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve(confirm_above=2)
    ada = await person("ada@example.test", Role.OPERATOR)
    ids = await devices(node, ada.id, 8)
    here, token = browse(node, ada.browser), browse(node, ada.bearer)
    assert (await here.post(RUNS, json=run_on(ids[:3]))).status_code == 202  # signing in was a proof
    await grow_old(db)

    assert told(await here.post(RUNS, json=run_on(ids[:3]))) == ASKED
    assert told(await here.post(RUNS, json={"command": ["true"], "targets": {"selector": "*"}})) == ASKED
    assert told(await here.post(TOKENS, json={"name": "mine"})) == ASKED
    few = await here.post(RUNS, json=run_on(ids[:2]))
    assert few.status_code == 202
    assert [(await here.delete(f"/api/v1/devices/{one}")).status_code for one in ids[5:7]] == [204, 204]
    assert told(await here.delete(f"/api/v1/devices/{ids[7]}")) == ASKED
    assert (await here.get("/api/v1/runs")).json()["items"][0]["id"] == few.json()["id"]
    assert len((await here.get("/api/v1/devices")).json()["items"]) == 6
    assert (await here.post("/api/v1/runs/preview", json=run_on(ids[:3]))).status_code == 200

    assert (await token.post(RUNS, json=run_on(ids[:3]))).status_code == 202  # its scopes say what it may
    assert (await token.post(TOKENS, json={"name": "mine"})).status_code == 201

    assert told(await here.post(PROOF, json={})) == (422, "password_needed")
    assert told(await here.post(PROOF, json={"password": "not the password"})) == (422, "wrong_password")
    assert told(await here.post(RUNS, json=run_on(ids[:3]))) == ASKED
    assert (await here.post(PROOF, json={"password": PASSWORD})).status_code == 204
    assert (await here.post(RUNS, json=run_on(ids[:3]))).status_code == 202
    assert (await here.delete(f"/api/v1/devices/{ids[7]}")).status_code == 204
    assert (await here.post(TOKENS, json={"name": "mine"})).status_code == 201


async def test_threat_15_a_session_that_was_left_open_makes_no_administrator(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve()
    here = browse(node, (await person()).browser)
    bob = await person("bob@example.test", Role.VIEWER)
    await grow_old(db)
    user, invitations = f"/api/v1/users/{bob.id}", "/api/v1/invitations"
    eve = {"email": "eve@example.test", "role": "admin"}
    assert told(await here.patch(user, json={"role": "admin"})) == ASKED
    assert told(await here.post(invitations, json=eve)) == ASKED
    assert (await here.post(invitations, json={**eve, "role": "operator"})).status_code == 201
    assert (await here.patch(user, json={"role": "operator"})).json()["role"] == "operator"
    await here.post(PROOF, json={"password": PASSWORD})
    assert (await here.patch(user, json={"role": "admin"})).json()["role"] == "admin"
    assert (await here.patch(user, json={"disabled": True})).status_code == 200
    assert (await here.post(invitations, json=eve)).status_code == 201
    await grow_old(db)
    assert told(await here.patch(user, json={"disabled": False})) == ASKED


async def test_a_run_that_is_repeated_asks_as_the_first_did(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve(confirm_above=2)
    ada = await person("ada@example.test", Role.OPERATOR)
    here = browse(node, ada.browser)
    ids = await devices(node, ada.id, 3)
    keyed = {"idempotency-key": "once"}
    first = (await here.post(RUNS, json=run_on(ids), headers=keyed)).json()
    await here.post(f"{RUNS}/{first['id']}/cancel")
    await grow_old(db)
    again = {"states": ["cancelled"]}
    assert told(await here.post(f"{RUNS}/{first['id']}/retry", json=again)) == ASKED
    assert (await here.post(RUNS, json=run_on(ids), headers=keyed)).json()["id"] == first["id"]  # it starts nothing
    await here.post(PROOF, json={"password": PASSWORD})
    assert (await here.post(f"{RUNS}/{first['id']}/retry", json=again)).status_code == 202


async def test_with_a_second_factor_a_code_is_asked_for_and_taken_once(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve()
    ada = await person()
    here = browse(node, ada.browser)
    secret = (await here.post("/api/v1/auth/two-factor")).json()["secret"]
    code = totp.code_at(secret, totp.step_of(utcnow()))
    codes = (await here.post("/api/v1/auth/two-factor/confirm", json={"code": code})).json()["codes"]
    await grow_old(db)
    assert told(await here.post(TOKENS, json={"name": "mine"})) == ASKED
    change = {"current": PASSWORD, "new": "another good password"}
    assert told(await here.post("/api/v1/auth/password", json=change)) == ASKED
    assert told(await here.post(PROOF, json={"password": PASSWORD})) == (422, "code_needed")
    assert told(await here.post(PROOF, json={"code": code})) == (422, "wrong_code")
    assert (await here.post(PROOF, json={"code": codes[0]})).status_code == 204
    assert told(await here.post(PROOF, json={"code": codes[0]})) == (422, "wrong_code")
    assert (await here.post(TOKENS, json={"name": "mine"})).status_code == 201
    assert (await here.post("/api/v1/auth/password", json=change)).status_code == 204


async def test_threat_14_proofs_are_throttled_as_signing_in_is(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    here = browse(node, (await person()).browser)
    answers = [await here.post(PROOF, json={"password": f"guess {n}"}) for n in range(7)]
    assert [one.status_code for one in answers] == [422] * 5 + [429] * 2


def test_a_proof_counts_for_five_minutes() -> None:
    now = utcnow()
    for proven_at, asked in (
        (now, False),
        (now - FRESH, False),
        (now - FRESH - timedelta(seconds=1), True),
        (None, True),
    ):
        principal = Principal(1, "a@x", Role.ADMIN, session_id="s", proven_at=proven_at)
        if asked:
            with pytest.raises(ProofRequired):
                require_proof(principal, now, "This")
        else:
            require_proof(principal, now, "This")
    require_proof(Principal(1, "a@x", Role.ADMIN, token_id="t"), now, "This")


def test_a_spree_is_counted_for_each_session_and_forgotten_with_time() -> None:
    spree, now = Spree(2, "This"), utcnow()
    ada, bob = (Principal(1, "a@x", Role.ADMIN, session_id=one) for one in ("a", "b"))
    for principal in (ada, bob, ada, bob):
        spree.note(principal, now)
    with pytest.raises(ProofRequired):
        spree.note(ada, now)
    spree.note(ada, now + FRESH + timedelta(seconds=1))
    for _ in range(5):
        spree.note(Principal(1, "a@x", Role.ADMIN, token_id="t"), now)
