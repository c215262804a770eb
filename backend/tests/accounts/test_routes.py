"""Signing in and API tokens over HTTP: cookies, throttle, secrets that are shown once."""

import re
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.auth import COOKIE
from app.accounts.models import ApiToken, Session
from app.accounts.permissions import Role
from app.clock import utcnow
from app.db import Database
from app.settings import Settings
from tests.support.node import Lines, Serve, serving
from tests.support.server import PASSWORD, Browse, MakePerson

LOGIN = "/api/v1/auth/login"
TOKENS = "/api/v1/api-tokens"


@pytest.mark.databases("sqlite")
async def test_a_session_from_its_cookie_to_its_end(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve()
    ada = await person("ada@example.test", Role.OPERATOR)
    client = browse(node)
    answer = await client.post(LOGIN, json={"email": " Ada@Example.test", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json() | {"created_at": ""} == {
        "id": ada.id,
        "email": ada.email,
        "role": "operator",
        "created_at": "",
    }
    cookie = answer.headers["set-cookie"]
    value = re.fullmatch(rf"{COOKIE}=(\w{{43}}); HttpOnly; Max-Age=1209600; Path=/; SameSite=lax; Secure", cookie)
    assert value, cookie
    browser = {"cookie": f"{COOKIE}={value[1]}", "sec-fetch-site": "same-origin"}
    assert (await client.get("/api/v1/auth/me", headers=browser)).json() == answer.json()

    again = await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD}, headers=browser)
    assert again.status_code == 200
    assert (await client.get("/api/v1/auth/me", headers=browser)).status_code == 401  # it was replaced
    browser["cookie"] = again.headers["set-cookie"].partition(";")[0]
    out = await client.post("/api/v1/auth/logout", headers=browser)
    assert (out.status_code, out.content) == (204, b"")
    assert f'{COOKIE}=""' in out.headers["set-cookie"]
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert (await client.get("/api/v1/auth/me", headers=browser)).status_code == 401
    async with db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Session)) == 1  # the fixture's


@pytest.mark.databases("sqlite")
async def test_threat_14_guessing_is_slowed_and_says_nothing(
    serve: Serve, browse: Browse, person: MakePerson, lines: Lines
) -> None:
    node = await serve()
    await person()
    client = browse(node)
    answers: dict[str, list[httpx2.Response]] = {}
    for email in ("ada@example.test", "nobody@example.test"):
        for _ in range(7):
            body = {"email": email, "password": "wrong password"}
            answers.setdefault(email, []).append(await client.post(LOGIN, json=body))
    for tried in answers.values():
        assert [answer.status_code for answer in tried] == [401] * 5 + [429] * 2
        assert {answer.json()["code"] for answer in tried[5:]} == {"too_many_attempts"}
        assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in tried[5:])

    def said(answer: httpx2.Response) -> Any:
        body = answer.json()
        del body["request_id"]
        body["detail"] = re.sub(r"\d+", "n", body["detail"])
        return body, sorted(set(answer.headers) - {"content-length"})

    known, unknown = ([said(answer) for answer in tried] for tried in answers.values())
    assert known == unknown
    right = await client.post(LOGIN, json={"email": "ada@example.test", "password": PASSWORD})
    assert right.status_code == 429  # the right password tells nothing either
    assert not any("wrong password" in line or PASSWORD in line for line in lines())


async def test_a_password_never_travels_in_the_clear(settings: Settings, person: MakePerson) -> None:
    ada = await person()
    body = {"email": ada.email, "password": PASSWORD}
    proxied = settings.model_copy(update={"public_url": ["https://deployx.example.test"]})
    async with serving(proxied) as node, httpx2.AsyncClient(base_url=node.url) as client:
        for host, status in (
            ("deployx.example.test", 200),
            ("192.0.2.7:8000", 400),
            ("evil.example", 400),
            ("127.0.0.1.evil.example", 400),
            (node.url.partition("//")[2], 200),
        ):
            answer = await client.post(LOGIN, json=body, headers={"host": host})
            assert answer.status_code == status, host
            assert status == 200 or answer.json()["code"] == "insecure_transport"
    trusting = proxied.model_copy(update={"trusted_proxies": ["127.0.0.1/32"]})
    async with serving(trusting) as node, httpx2.AsyncClient(base_url=node.url) as client:
        for proto, status in (("https", 200), ("http", 400)):
            forwarded = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": proto}
            answer = await client.post(LOGIN, json=body, headers={"host": "deployx.example.test", **forwarded})
            assert answer.status_code == status, proto


async def test_an_api_token_is_shown_once(serve: Serve, browse: Browse, person: MakePerson, db: Database) -> None:
    node = await serve()
    ada = await person("ada@example.test", Role.VIEWER)
    client = browse(node, ada.browser)
    made = await client.post(TOKENS, json={"name": " CI – nightly ", "expires_in_s": 3600})
    assert made.status_code == 201
    body = made.json()
    assert (body["name"], set(body)) == ("CI – nightly", {"id", "name", "token", "created_at", "expires_at"})
    lasts = datetime.fromisoformat(body["expires_at"]) - datetime.fromisoformat(body["created_at"])
    assert lasts == timedelta(hours=1)
    bearer = {"authorization": f"Bearer {body['token']}"}
    assert (await browse(node).get("/api/v1/devices", headers=bearer)).status_code == 200
    listed = await client.get(TOKENS)
    assert [token["name"] for token in listed.json()["items"]] == ["CI – nightly", "tests"]
    assert set(listed.json()["items"][0]) == {"id", "name", "created_at", "expires_at", "last_used_at", "scopes"}
    assert body["token"] not in listed.text
    async with db.write() as session:
        past = utcnow() - timedelta(seconds=1)
        await session.execute(sa.update(ApiToken).where(ApiToken.id == body["id"]).values(expires_at=past))
    assert (await browse(node).get("/api/v1/devices", headers=bearer)).status_code == 401
    other = (await client.post(TOKENS, json={"name": "other"})).json()
    bearer = {"authorization": f"bearer {other['token']}"}
    assert (await browse(node).get("/api/v1/devices", headers=bearer)).status_code == 200
    assert (await client.delete(f"{TOKENS}/{other['id']}")).status_code == 204
    assert (await browse(node).get("/api/v1/devices", headers=bearer)).status_code == 401
    assert (await client.delete(f"{TOKENS}/{other['id']}")).status_code == 404


@pytest.mark.databases("sqlite")
async def test_a_token_that_cannot_be_made(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    bad: list[dict[str, Any]] = [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"name": "a\x00b"},
        {"name": "x", "expires_in_s": 59},
        {"name": "x", "expires_in_s": 10**30},
        {"name": "x", "user_id": 1},
        {"name": "x", "role": "admin"},
        {"name": "x", "token": "dxp_mine"},
    ]
    for body in bad:
        assert (await client.post(TOKENS, json=body)).status_code == 422, body
    assert len((await client.get(TOKENS)).json()["items"]) == 1


async def test_one_proof_never_lends_the_other(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    both = {**ada.browser, "authorization": "Bearer dxp_wrong"}
    assert (await browse(node, both).get("/api/v1/auth/me")).status_code == 401
    in_the_address = await browse(node).get(f"/api/v1/auth/me?token={ada.token}&access_token={ada.token}")
    assert in_the_address.status_code == 401


@pytest.mark.databases("sqlite")
async def test_users_are_listed_without_secrets(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person("ada@example.test")
    await person("bob@example.test", Role.VIEWER)
    users = (await browse(node, ada.bearer).get("/api/v1/users")).json()["items"]
    assert [(user["email"], user["role"]) for user in users] == [
        ("ada@example.test", "admin"),
        ("bob@example.test", "viewer"),
    ]
    assert set(users[0]) == {"id", "email", "role", "created_at", "disabled_at"}
