"""Signing in and out: what is asked of the server, what is stored, and where a token never goes."""

import json
import stat
from typing import Any

import pytest

TOKEN = "dxp_" + "a" * 43
CHALLENGE = "c" * 43
SESSION = "__Host-deployx=s3cret"


def accounts(request: Any) -> tuple[int, Any, dict[str, str]]:
    """A server with one user, Ada."""
    bearer = request.headers.get("authorization") == f"Bearer {TOKEN}"
    cookie = request.headers.get("cookie") == SESSION and request.headers.get("sec-fetch-site") == "same-origin"
    match request.method, request.path.removeprefix("/api/v1"):
        case "POST", "/auth/login" if request.body == {"email": "ada@example.test", "password": "correct horse"}:
            return 200, {"id": 1}, {"set-cookie": f"{SESSION}; Path=/; Secure; HttpOnly; SameSite=lax"}
        case "POST", "/auth/login":
            return 401, {"code": "invalid_credentials", "detail": "E-mail or password is wrong."}, {}
        case "POST", "/api-tokens" if cookie:
            return 201, {"id": "t1", "token": TOKEN}, {}
        case ("POST", "/auth/logout") if cookie:
            return 204, b"", {}
        case ("DELETE", "/api-tokens/t1") if bearer:
            return 204, b"", {}
        case ("GET", "/auth/me") if bearer:
            return 200, {"id": 1, "email": "ada@example.test"}, {}
    return 401, {"code": "unauthenticated", "detail": "Sign in, or send a valid API token."}, {}


def test_login_makes_a_token_and_ends_the_session(server: Any, deployx: Any) -> None:
    server.answer = accounts
    done = deployx("login", "--url", server.url, "--email", "ada@example.test", stdin="correct horse\n")
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    stored = json.loads(deployx.login_file.read_text())
    assert stored == {"url": server.url, "token": TOKEN, "token_id": "t1", "email": "ada@example.test"}
    assert stat.S_IMODE(deployx.login_file.stat().st_mode) == 0o600
    assert [request.path for request in server.requests] == [
        "/api/v1/auth/login",
        "/api/v1/api-tokens",
        "/api/v1/auth/logout",
    ]
    assert server.requests[1].headers["origin"] == server.url


def careful(request: Any) -> tuple[int, Any, dict[str, str]]:
    """The same server; Ada has a second factor, whose code is 123456 at the moment."""
    match request.method, request.path.removeprefix("/api/v1"):
        case "POST", "/auth/login" if accounts(request)[0] == 200:
            return 401, {"code": "second_factor_required", "detail": "Enter a code.", "challenge": CHALLENGE}, {}
        case "POST", "/auth/login/second-factor" if request.body == {"challenge": CHALLENGE, "code": "123456"}:
            return 200, {"id": 1}, {"set-cookie": f"{SESSION}; Path=/; Secure; HttpOnly; SameSite=lax"}
        case "POST", "/auth/login/second-factor":
            return 401, {"code": "wrong_code", "detail": "This code is wrong, or was used already."}, {}
    return accounts(request)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("correct horse\n123456\n", ""),
        ("correct horse\n654321\n", "deployx: This code is wrong, or was used already.\n"),
        (
            "correct horse\n",
            "deployx: This account has two-factor sign-in: write the code to stdin, on the line after the password.\n",
        ),
    ],
)
def test_login_takes_the_code_of_a_second_factor(typed: str, said: str, server: Any, deployx: Any) -> None:
    server.answer = careful
    done = deployx("login", "--url", server.url, "--email", "ada@example.test", stdin=typed)
    assert (done.returncode, done.stderr) == ((77, said) if said else (0, ""))
    assert deployx.login_file.exists() is not bool(said)


def test_a_wrong_password_is_a_sentence_and_77(server: Any, deployx: Any) -> None:
    server.answer = accounts
    done = deployx("login", "--url", server.url, "--email", "ada@example.test", stdin="wrong\n")
    assert (done.returncode, done.stderr) == (77, "deployx: E-mail or password is wrong.\n")
    assert not deployx.login_file.exists()


def test_a_token_is_tried_before_it_is_stored(server: Any, deployx: Any) -> None:
    server.answer = accounts
    assert deployx("login", "--url", server.url, "--token", "dxp_wrong").returncode == 77
    assert not deployx.login_file.exists()
    assert deployx("login", "--url", server.url, "--token", "-", stdin=f"{TOKEN}\n").returncode == 0
    assert json.loads(deployx.login_file.read_text())["token"] == TOKEN


def test_logout_deletes_the_token_on_the_server_too(server: Any, deployx: Any) -> None:
    server.answer = accounts
    deployx("login", "--url", server.url, "--email", "ada@example.test", stdin="correct horse\n")
    done = deployx("logout")
    assert done.returncode == 0
    assert (server.requests[-1].method, server.requests[-1].path) == ("DELETE", "/api/v1/api-tokens/t1")
    assert not deployx.login_file.exists()
    assert deployx("logout").returncode == 0


def test_logout_without_the_server_forgets_and_says_so(server: Any, deployx: Any) -> None:
    server.answer = accounts
    deployx("login", "--url", server.url, "--email", "ada@example.test", stdin="correct horse\n")
    server.close()
    done = deployx("logout")
    assert done.returncode == 69
    assert "token still works" in done.stderr
    assert not deployx.login_file.exists()


def test_a_password_never_travels_over_plain_http(deployx: Any) -> None:
    done = deployx("login", "--url", "http://192.0.2.1:8000", "--email", "a@b", stdin="secret\n")
    assert done.returncode == 2
    assert "not encrypted" in done.stderr


def test_a_stored_token_never_goes_to_another_server(server: Any, deployx: Any) -> None:
    server.answer = accounts
    deployx("login", "--url", server.url, "--email", "ada@example.test", stdin="correct horse\n")
    seen = len(server.requests)
    other = server.url.replace("127.0.0.1", "localhost")
    done = deployx("devices", DEPLOYX_URL=other)
    assert done.returncode == 77
    assert "DEPLOYX_TOKEN" in done.stderr
    assert len(server.requests) == seen


def test_a_damaged_login_is_a_sentence(deployx: Any) -> None:
    deployx.login_file.parent.mkdir(parents=True)
    deployx.login_file.write_text('{"url": 1, ')
    done = deployx("devices")
    assert done.returncode == 1
    assert done.stderr == f"deployx: {deployx.login_file} is damaged. Delete it, then run: deployx login\n"


@pytest.mark.parametrize("url", ["ftp://x", "https://a.example/path", "https://u:p@a.example", "http://h:99999"])
def test_an_unusable_address_is_wrong_usage(deployx: Any, url: str) -> None:
    done = deployx("login", "--url", url, "--email", "a@b", stdin="x\n")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
