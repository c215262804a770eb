"""Whatever goes wrong is answered as RFC 9457 says, and nothing of the server's inside gets out."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.accounts.auth import COOKIE
from app.migrate import migrate
from app.prepare import prepare
from app.settings import Settings
from app.web.middleware import MAX_BODY_BYTES
from tests.support import rows
from tests.support.node import Lines, Serve, serving
from tests.support.postgres import PostgresServer, throwaway
from tests.support.server import PASSWORD, Browse, MakePerson, Site

# One database: nothing here depends on which it is.
pytestmark = pytest.mark.databases("sqlite")


CHANGE = "/api/v1/devices/1"


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem in ``answer``, which has to be one, whole."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"].endswith("."), body["detail"]
    assert answer.headers["cache-control"] == "no-store"
    return body


async def test_addresses_and_methods_that_are_not_there(serve: Serve, browse: Browse) -> None:
    node = await serve()
    client = browse(node)
    for path in ("/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v2/devices", "/api/v1/devices/1/nothing"):
        for accept in ("application/json", "text/html"):
            problem(await client.get(path, headers={"accept": accept}), 404, "not_found")
    problem(await client.put("/api/v1/devices"), 405, "method_not_allowed")
    refused = await client.request("DELETE", "/api/v1/auth/login")
    problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


async def test_a_body_that_is_too_large(serve: Serve, browse: Browse, person: MakePerson, lines: Lines) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    large = b'{"device_name": "' + b"x" * MAX_BODY_BYTES + b'"}'

    async def in_pieces() -> Any:
        for start in range(0, len(large), 4096):
            yield large[start : start + 4096]

    json_type = {"content-type": "application/json"}
    problem(await client.patch(CHANGE, content=large, headers=json_type), 413, "too_large")
    problem(await client.patch(CHANGE, content=in_pieces(), headers=json_type), 413, "too_large")
    assert not any("crashed" in line for line in lines())


async def test_a_body_that_makes_no_sense(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    async with node.db.write() as session:
        session.add(rows.device(1, user_id=ada.id, device_name="as it was"))
    client = browse(node, ada.bearer)
    for body in (
        b"",
        b"{",
        b"[]",
        b"null",
        b"\x00",
        b"\xff\xfe",
        b'{"device_name": "\\u0000"}',
        b'{"device_name": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"device_name": "\xed\xa0\x80"}',
        b'{"tags": {"\\ud800": "x"}}',
        b'{"tags": {"x": "\\udfff"}}',
        b'{"\\u0000": 1}',
        b'{"user_id": 1e999}',
        b'{"user_id": NaN}',
        b'{"user_id": ' + b"9" * 30 + b"}",
        b'{"user_id": ' + b"9" * 5000 + b"}",
        b"[" * 30_000,
        b'{"tags": ' * 5_000 + b"1" + b"}" * 5_000,
        b'{"device_name": {"a": {"b": [[[[]]]]}}}',
        b'{"device_name": "x", "__proto__": {}}',
    ):
        for method, path in (("PATCH", CHANGE), ("POST", "/api/v1/auth/login"), ("POST", "/api/v1/api-tokens")):
            answer = await client.request(method, path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 422), f"{path} {body[:40]!r}: {answer.text}"
            problem(answer, answer.status_code, "bad_request" if answer.status_code == 400 else "invalid_input")
    [device] = await node.devices()
    assert (device.device_name, device.rev) == ("as it was", 1)


async def test_each_field_that_is_wrong_is_named(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    answer = await client.post("/api/v1/enrollment-tokens", json={"name": "", "max_uses": 0, "colour": "red"})
    errors = problem(answer, 422, "invalid_input")["errors"]
    assert {error["field"] for error in errors} == {"name", "max_uses", "colour"}
    secret = await client.post("/api/v1/auth/login", json={"email": "ada@example.test", "password": PASSWORD + "\x00"})
    problem(secret, 422, "invalid_input")
    assert PASSWORD not in secret.text


async def test_a_crash_tells_the_client_nothing_and_the_log_everything(site: Site, lines: Lines) -> None:
    answer = await site.client.get("/api/v1/crash")
    body = problem(answer, 500, "internal")
    assert not any(word in answer.text for word in ("secret", "Traceback", "RuntimeError", ".py"))
    [line] = [line for line in lines() if "request.crashed" in line]
    assert body["request_id"] in line
    assert any("the secret of the house" in line for line in lines())
    other = await site.client.get("/api/v1/crash", headers={"x-request-id": "mine"})
    assert other.headers["x-request-id"] not in ("mine", body["request_id"])


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that this test may stop."""
    with throwaway() as server:
        yield server


async def test_a_database_that_is_away_is_503_and_comes_back(
    own_postgres: PostgresServer, tmp_path: Path, lines: Lines
) -> None:
    url = own_postgres.create_database()
    await migrate(url)
    admin = {"admin_email": "ada@example.test", "admin_password": PASSWORD}
    settings = Settings.model_validate({"data_dir": tmp_path, "database_url": url, **admin})
    await prepare(settings)
    async with serving(settings) as node, httpx2.AsyncClient(base_url=node.url, timeout=30) as client:
        login = {"email": "ada@example.test", "password": PASSWORD}
        signed_in = await client.post("/api/v1/auth/login", json=login)
        browser = {"cookie": f"{COOKIE}={signed_in.cookies[COOKIE]}", "sec-fetch-site": "same-origin"}
        await asyncio.to_thread(own_postgres.stop)
        assert (await client.get("/healthz")).status_code == 200
        for method, path, body in (
            ("GET", "/readyz", None),
            ("GET", "/metrics", None),
            ("GET", "/api/v1/devices", None),
            ("POST", "/api/v1/auth/login", login),
            ("POST", "/api/v1/enrollment-tokens", {"name": "x"}),
        ):
            answer = await client.request(method, path, json=body, headers=browser)
            assert answer.status_code == 503, f"{path}: {answer.text}"
            assert answer.json()["code"] == "unavailable"
            assert int(answer.headers["retry-after"]) >= 1
            assert "postgres" not in answer.text
        await asyncio.to_thread(own_postgres.start)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/api/v1/devices", headers=browser)).status_code == 200
    assert any("request.failed" in line for line in lines())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/auth/login", "POST"),
        ("PUT", "/api/v1/auth/login", "POST"),
        ("DELETE", "/api/v1/enrollment-tokens", "GET, POST"),
        ("PUT", "/api/v1/devices/1", "GET, PATCH, DELETE"),
        ("OPTIONS", "/api/v1/devices", "GET"),
        ("PROPFIND", "/api/v1/claims/1/accept", "POST"),
        ("POST", "/api/openapi.json", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    method: str, path: str, allowed: str, serve: Serve, browse: Browse
) -> None:
    node = await serve()
    client = browse(node, {"accept": "text/html,*/*"})  # as a browser asks
    answer = await client.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(("path", "allowed"), [("/healthz", "GET"), ("/metrics", "GET")])
async def test_so_it_is_beside_the_api(path: str, allowed: str, serve: Serve, browse: Browse) -> None:
    answer = await browse(await serve()).post(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "method_not_allowed"


async def test_what_is_nowhere_is_404_whatever_the_method(serve: Serve, browse: Browse) -> None:
    node = await serve()
    client = browse(node, {"accept": "text/html,*/*"})
    for path in ("/api", "/api/", "/api/v1", "/api/v2/devices", "/api/v1/devices/1/nothing", "/api/v1/devices/"):
        for method in ("GET", "POST", "DELETE", "PROPFIND"):
            problem(await client.request(method, path), 404, "not_found")
