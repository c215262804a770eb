"""What an administrator does on the server itself: commands as processes, beside a server that runs."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deployx_protocol import tokens
from tests.support.server import PASSWORD

OTHER = "another good password"


def sign_in(url: str, email: str, password: str) -> httpx2.Response:
    """The answer to a sign-in."""
    return httpx2.post(f"{url}/api/v1/auth/login", json={"email": email, "password": password})


def test_people_are_made_changed_and_shut_out_while_it_serves(server: Any, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    with server.serving() as running:
        made = server("create-admin", "Ada@Example.Test", "--password-file", str(file))
        assert (made.returncode, made.stdout, made.stderr) == (0, "", "ada@example.test can sign in as admin.\n")
        generated = server("create-user", "bob@example.test", "--generate", "--role", "viewer")
        password = generated.stdout.removesuffix("\n")
        assert (generated.returncode, len(password)) == (0, 20)
        assert "\n" not in password
        assert server("create-user", "cleo@example.test", stdin=f"{PASSWORD}\n").returncode == 0
        roles = {
            email: sign_in(running.url, email, secret).json().get("role")
            for email, secret in (
                ("ada@example.test", PASSWORD),
                ("bob@example.test", password),
                ("cleo@example.test", PASSWORD),
            )
        }
        assert roles == {"ada@example.test": "admin", "bob@example.test": "viewer", "cleo@example.test": "operator"}

        signed_in = sign_in(running.url, "ada@example.test", PASSWORD)
        cookie = signed_in.headers["set-cookie"].partition(";")[0]
        browser = {"cookie": cookie, "sec-fetch-site": "same-origin"}
        token = httpx2.post(f"{running.url}/api/v1/api-tokens", json={"name": "x"}, headers=browser).json()["token"]
        proofs = (browser, {"authorization": f"Bearer {token}"})
        me = f"{running.url}/api/v1/auth/me"
        assert [httpx2.get(me, headers=proof).status_code for proof in proofs] == [200, 200]
        reset = server("reset-password", "ada@example.test", stdin=f"{OTHER}\n")
        assert (reset.returncode, reset.stdout) == (0, "")
        assert [httpx2.get(me, headers=proof).status_code for proof in proofs] == [401, 401]
        assert sign_in(running.url, "ada@example.test", PASSWORD).status_code == 401
        assert sign_in(running.url, "ada@example.test", OTHER).status_code == 200

        demoted = server("set-role", "ada@example.test", "operator")
        assert (demoted.returncode, demoted.stderr) == (0, "ada@example.test is operator from now on.\n")
        assert sign_in(running.url, "ada@example.test", OTHER).json()["role"] == "operator"
        assert server("disable-user", "ada@example.test").returncode == 0
        assert sign_in(running.url, "ada@example.test", OTHER).status_code == 401
        assert server("enable-user", "ada@example.test").returncode == 0
        assert sign_in(running.url, "ada@example.test", OTHER).status_code == 200
        assert server("disable-user", "ada@example.test").returncode == 0
        assert running.stop()[0] == 0
    assert "Traceback" not in "".join(server.printed)
    for secret in (PASSWORD, OTHER, token, cookie.partition("=")[2]):
        assert not any(secret in text for text in server.printed)
    assert sum(password in text for text in server.printed) == 1  # where it was asked for


def test_an_enrolment_token_is_alone_on_stdout_and_its_hash_in_the_database(server: Any) -> None:
    nobody = server("create-enrollment-token")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "create-admin" in nobody.stderr
    server("create-admin", "ada@example.test", "--generate")
    done = server("create-enrollment-token", "--name", "lab", "--max-uses", "3", "--expires-in-s", "600")
    assert (done.returncode, done.stderr) == (0, "")
    token = done.stdout.removesuffix("\n")
    assert tokens.enrollment_origin(token) == "http://127.0.0.1:8000"
    with closing(sqlite3.connect(server.data / "deployx.db")) as database:
        [row] = database.execute("SELECT name, max_uses, uses, token_hash FROM enrollment_tokens")
    assert row[:3] == ("lab", 3, 0)
    assert token not in (server.data / "deployx.db").read_bytes().decode("latin-1")
    assert len(row[3]) == 64


@pytest.mark.parametrize(
    ("command", "stdin", "code", "says"),
    [
        (("create-admin", "ada@example.test"), PASSWORD, 1, "already a user ada@example.test"),
        (("create-admin", "nobody"), PASSWORD, 1, "name@example.com"),
        (("create-admin", "new@example.test"), "short", 1, "10 to 1024"),
        (("create-admin", "new@example.test"), "", 1, "10 to 1024"),
        (("create-admin", "new@example.test", "--password-file", "/nonexistent"), "", 78, "/nonexistent"),
        (("create-user", "new@example.test", "--role", "root"), PASSWORD, 2, "root"),
        (("reset-password", "eve@example.test"), PASSWORD, 1, "no user eve@example.test"),
        (("disable-user", "eve@\x1b[31mexample.test"), "", 1, "no user eve@\\x1b[31mexample.test"),
        (("create-enrollment-token", "--owner", "eve@example.test"), "", 1, "no user eve@example.test"),
        (("create-enrollment-token", "--max-uses", "0"), "", 2, "max-uses"),
        (("no-such-command",), "", 2, "no-such-command"),
        (("serve", "--port", "99999"), "", 78, "DEPLOYX_PORT"),
    ],
)
def test_what_cannot_be_done_is_said(
    command: tuple[str, ...], stdin: str, code: int, says: str, administered: Any
) -> None:
    done = administered(*command, stdin=f"{stdin}\n" if stdin else "")
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if code != 2:
        assert len(done.stderr.splitlines()) == 1


def test_it_names_its_version_and_its_commands(server: Any) -> None:
    assert server("--version").stdout.strip()
    said = server("--help").stdout
    for command in ("serve", "migrate", "create-admin", "create-user", "reset-password", "disable-user"):
        assert command in said


def test_openapi_is_json_and_touches_nothing(server: Any) -> None:
    done = server("openapi")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"/api/v1/devices"' in done.stdout
    assert not server.data.exists()
