"""One's own account: sessions that are seen and ended, the password changed, tokens that may less than their user."""

import asyncio
from typing import Any

import pytest

from app.accounts.permissions import SCOPES, Permission, Role, TokenScope, granted
from app.accounts.principal import Principal
from tests.support.node import Serve
from tests.support.server import PASSWORD, Browse, MakePerson

SESSIONS = "/api/v1/auth/sessions"
CHANGE = "/api/v1/auth/password"
LOGIN = "/api/v1/auth/login"
NEW = "quite another password"


@pytest.mark.databases("sqlite")
async def test_sessions_are_seen_and_ended_one_by_one(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person(), await person("bob@example.test")
    agent = {"user-agent": "Firefox on the train"}
    await browse(node, agent).post(LOGIN, json={"email": ada.email, "password": PASSWORD})
    here = browse(node, ada.browser)
    listed = (await here.get(SESSIONS)).json()["items"]
    assert [(one["current"], one["source_ip"]) for one in listed if one["current"]] == [(True, "127.0.0.1")]
    other = next(one for one in listed if not one["current"])
    assert other["user_agent"] == agent["user-agent"]
    assert "token_hash" not in other
    foreign = await browse(node, bob.browser).delete(f"{SESSIONS}/{other['id']}")
    assert foreign.status_code == 404
    assert (await here.delete(f"{SESSIONS}/{other['id']}")).status_code == 204
    assert (await here.delete(f"{SESSIONS}/{other['id']}")).status_code == 404
    assert [one["id"] for one in (await here.get(SESSIONS)).json()["items"]] == [
        one["id"] for one in listed if one["current"]
    ]


@pytest.mark.databases("sqlite")
async def test_threat_15_a_new_password_ends_the_other_sessions(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    ada = await person()
    signed_in = await browse(node).post(LOGIN, json={"email": ada.email, "password": PASSWORD})
    thief = {"cookie": signed_in.headers["set-cookie"].partition(";")[0], "sec-fetch-site": "same-origin"}
    here = browse(node, ada.browser)
    assert (await browse(node, thief).get(SESSIONS)).status_code == 200
    changed = await here.post(CHANGE, json={"current": PASSWORD, "new": NEW})
    assert changed.status_code == 204
    assert (await browse(node, thief).get(SESSIONS)).status_code == 401
    assert (await here.get(SESSIONS)).status_code == 200
    assert (await browse(node, ada.bearer).get("/api/v1/auth/me")).status_code == 200
    assert (await browse(node).post(LOGIN, json={"email": ada.email, "password": PASSWORD})).status_code == 401
    assert (await browse(node).post(LOGIN, json={"email": ada.email, "password": NEW})).status_code == 200


@pytest.mark.databases("sqlite")
async def test_threat_14_a_stolen_session_does_not_guess_the_password(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    ada = await person()
    here = browse(node, ada.browser)
    answers = [await here.post(CHANGE, json={"current": f"guess {n}", "new": NEW}) for n in range(8)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429] * 3
    assert answers[0].json()["code"] == "wrong_password"
    for wrong, code in (({"current": PASSWORD, "new": "short"}, 422), ({"current": PASSWORD, "new": PASSWORD}, 422)):
        assert (await here.post(CHANGE, json=wrong)).status_code == code


async def test_of_two_changes_at_once_one_holds(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    here = browse(node, ada.browser)
    wanted = [f"{NEW} {number}" for number in range(3)]
    answers = await asyncio.gather(*(here.post(CHANGE, json={"current": PASSWORD, "new": new}) for new in wanted))
    assert sorted(answer.status_code for answer in answers)[0] == 204
    logins = [await browse(node).post(LOGIN, json={"email": ada.email, "password": new}) for new in wanted]
    assert sorted(login.status_code for login in logins) == [200, 401, 401]


@pytest.mark.databases("sqlite")
async def test_a_token_may_what_its_scopes_leave(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    here = browse(node, ada.browser)

    async def limited(*scopes: str) -> Any:
        made = await here.post("/api/v1/api-tokens", json={"name": "limited", "scopes": list(scopes)})
        assert made.status_code == 201
        return browse(node, {"authorization": f"Bearer {made.json()['token']}"})

    tries: dict[str, tuple[str, str, Any]] = {
        "read": ("GET", "/api/v1/devices", None),
        "runs": ("POST", "/api/v1/runs/preview", {"targets": {"selector": "*"}}),
        "devices": ("POST", "/api/v1/enrollment-tokens", {"name": "x"}),
        "admin": ("GET", "/api/v1/audit", None),
    }
    for scope in TokenScope:
        client = await limited(scope)
        for name, (method, path, body) in tries.items():
            answer = await client.request(method, path, json=body)
            assert (answer.status_code == 403) is (name not in ("read", scope)), f"{scope}: {path} {answer.text}"
        for method, path, body in (
            ("POST", "/api/v1/api-tokens", {"name": "more"}),
            ("POST", CHANGE, {"current": PASSWORD, "new": NEW}),
            ("GET", SESSIONS, None),
        ):
            refused = await client.request(method, path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    listed = (await here.get("/api/v1/api-tokens")).json()["items"]
    assert {tuple(one["scopes"] or ()) for one in listed} == {(), *((scope.value,) for scope in TokenScope)}
    for wrong in ([], ["root"], "read"):
        made = await here.post("/api/v1/api-tokens", json={"name": "x", "scopes": wrong})
        assert made.status_code == 422, wrong


def test_scopes_never_add_to_a_role() -> None:
    for role in Role:
        for scope in TokenScope:
            principal = Principal(1, "a@x", role, token_id="t", scopes=frozenset({scope}))
            assert {one for one in Permission if principal.may(one)} == SCOPES[scope] & granted(role)
    assert not any(
        Principal(1, "a@x", Role.ADMIN, scopes=frozenset(names)).may(one)
        for names in ((), ("x",))
        for one in Permission
    )
    beyond = {Permission.ACCOUNT_CHANGE, Permission.TOKENS_OWN, Permission.GROUPS_SHARE, Permission.USERS_MANAGE}
    assert frozenset().union(*SCOPES.values()) == frozenset(Permission) - beyond
