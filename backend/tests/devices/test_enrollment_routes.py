"""Enrolment tokens over HTTP: shown once, listed without their secret, ended by revocation or time."""

from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.clock import utcnow
from app.devices.models import EnrollmentToken
from deployx_protocol import tokens
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Serve
from tests.support.server import Browse, MakePerson

TOKENS = "/api/v1/enrollment-tokens"


async def test_a_token_is_shown_once(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    client = browse(node, (await person("bob@example.test", Role.OPERATOR)).bearer)
    made = await client.post(TOKENS, json={"name": "lab", "max_uses": 3, "expires_in_s": 600})
    assert made.status_code == 201
    body = made.json()
    assert tokens.enrollment_origin(body["token"]) == body["origin"] == node.url
    assert body["command"] == f"deployx-agent enroll {body['token']}"
    lasts = datetime.fromisoformat(body["expires_at"]) - datetime.fromisoformat(body["created_at"])
    assert (body["max_uses"], body["uses"], body["revoked_at"], lasts) == (3, 0, None, timedelta(minutes=10))
    listed, detail = await client.get(TOKENS), await client.get(f"{TOKENS}/{body['id']}")
    public = {name: value for name, value in body.items() if name not in ("token", "command")}
    assert listed.json() == {"items": [public], "next_cursor": None}
    assert detail.json() == public | {"devices": []}
    secret = body["token"].rpartition("_")[2]
    assert all(secret not in answer.text and "hash" not in answer.text for answer in (listed, detail))


@pytest.mark.databases("sqlite")
async def test_it_enrols_until_it_is_revoked(
    serve: Serve, browse: Browse, person: MakePerson, agent: MakeAgent
) -> None:
    node = await serve(enrollment="token")
    bob = await person("bob@example.test", Role.OPERATOR)
    client = browse(node, bob.bearer)
    made = (await client.post(TOKENS, json={"name": "lab", "max_uses": 5})).json()
    web = agent(node, Machine(enrollment_token=made["token"]))
    await web.start()
    detail = (await client.get(f"{TOKENS}/{made['id']}")).json()
    assert detail["uses"] == 1
    assert [(one["device_name"], one["status"]) for one in detail["devices"]] == [(web.machine.hostname, "online")]
    for _ in range(2):
        assert (await client.delete(f"{TOKENS}/{made['id']}")).status_code == 204
    assert (await client.get(f"{TOKENS}/{made['id']}")).json()["revoked_at"]
    late = await agent(node, Machine(enrollment_token=made["token"])).refused()
    assert (late["code"], late["retryable"]) == ("invalid_credentials", False)
    await web.close()
    await agent(node, web.machine).start()  # who is in stays in
    assert len(await node.devices()) == 1


@pytest.mark.databases("sqlite")
async def test_it_enrols_until_it_expires(serve: Serve, browse: Browse, person: MakePerson, agent: MakeAgent) -> None:
    node = await serve(enrollment="token")
    client = browse(node, (await person()).bearer)
    made = (await client.post(TOKENS, json={"name": "lab", "max_uses": 5})).json()
    async with node.db.write() as session:
        await session.execute(sa.update(EnrollmentToken).values(expires_at=utcnow() - timedelta(seconds=1)))
    late = await agent(node, Machine(enrollment_token=made["token"])).refused()
    assert late["code"] == "invalid_credentials"
    assert await node.devices() == []


@pytest.mark.databases("sqlite")
async def test_it_names_an_address_of_this_server(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve(public_url=["https://a.example.test", "https://b.example.test"])
    client = browse(node, (await person()).bearer)
    first = await client.post(TOKENS, json={"name": "x"})
    assert first.json()["origin"] == "https://a.example.test"
    second = await client.post(TOKENS, json={"name": "x", "origin": "HTTPS://B.example.test/"})
    assert second.json()["origin"] == "https://b.example.test"
    for origin in ("https://evil.example", "http://127.0.0.1:8000", "b.example.test", "x", "https://[", "https://😀"):
        answer = await client.post(TOKENS, json={"name": "x", "origin": origin})
        assert answer.status_code == 422, origin


@pytest.mark.databases("sqlite")
async def test_a_token_that_cannot_be_made(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    bad: list[dict[str, Any]] = [
        {},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"name": "x", "max_uses": 0},
        {"name": "x", "max_uses": 100_001},
        {"name": "x", "max_uses": 10**30},
        {"name": "x", "max_uses": "three"},
        {"name": "x", "max_uses": 1.5},
        {"name": "x", "expires_in_s": 59},
        {"name": "x", "expires_in_s": 10**12},
        {"name": "x", "expires_in_s": None},
        {"name": "x", "user_id": 1},
        {"name": "x", "token": "dxe_mine"},
    ]
    for body in bad:
        assert (await client.post(TOKENS, json=body)).status_code == 422, body
    assert (await client.get(TOKENS)).json() == {"items": [], "next_cursor": None}


async def test_they_are_listed_in_pages(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person(), await person("bob@example.test", Role.OPERATOR)
    now = utcnow()

    def row(number: int, **values: Any) -> EnrollmentToken:
        """Three of each moment, all of them Bob's."""
        fields: dict[str, Any] = {"name": str(number), "token_hash": str(number), "origin": node.url, "uses": 0}
        fields |= {"created_at": now + timedelta(seconds=number // 3), "expires_at": now + timedelta(days=1)}
        return EnrollmentToken(**fields | {"id": f"{number:04}", "user_id": bob.id, "max_uses": 1} | values)

    over: dict[int, dict[str, Any]] = {
        3: {"uses": 1},
        9: {"revoked_at": now},
        500: {"expires_at": now - timedelta(seconds=1)},
    }
    async with node.db.write() as session:
        session.add_all(row(number, **over.get(number, {})) for number in range(1_100))
    newest_first = [str(number) for number in reversed(range(1_100))]
    wanted: list[tuple[dict[str, str], list[str]]] = [
        ({}, newest_first),
        ({"open": "true"}, [name for name in newest_first if int(name) not in over]),
        ({"open": "false"}, [name for name in newest_first if int(name) in over]),
    ]
    for somebody in (ada, bob):
        for query, names in wanted:
            assert await _all(browse(node, somebody.bearer), query | {"limit": "500"}) == names
    eve = await person("eve@example.test", Role.OPERATOR)
    assert await _all(browse(node, eve.bearer), {}) == []
    for bad in ({"limit": "501"}, {"limit": "0"}, {"cursor": "x"}, {"open": "maybe"}):
        assert (await browse(node, bob.bearer).get(TOKENS, params=bad)).status_code == 422, bad


async def _all(client: httpx2.AsyncClient, query: dict[str, str]) -> list[str]:
    """The names on every page, in order; each page but the last is full."""
    names: list[str] = []
    while True:
        page = (await client.get(TOKENS, params=query)).json()
        names += [token["name"] for token in page["items"]]
        if page["next_cursor"] is None:
            return names
        assert len(page["items"]) == int(query["limit"])
        query = query | {"cursor": page["next_cursor"]}
