"""`deployx` against the server as it is: sign in, list, and what a refusal looks like from a shell."""

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from app.accounts import totp
from deployx_cli.api import COOKIE
from deployx_cli.http import Http
from tests.support.shell import EMAIL, PASSWORD, RealServer, signed_in


@pytest.fixture
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that runs."""
    server = RealServer(tmp_path_factory.mktemp("server"))
    server.command("create-user", "ada@example.test", stdin=f"{PASSWORD}\n")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


def test_from_sign_in_to_sign_out(real: RealServer, deployx: Any) -> None:
    signed_in(deployx, real)
    token = json.loads(deployx.login_file.read_text())["token"]
    assert deployx.login_file.stat().st_mode & 0o777 == 0o600
    as_json = deployx("devices", "--json")
    assert (as_json.returncode, json.loads(as_json.stdout), as_json.stderr) == (0, [], "")
    plain = deployx("devices", "--status", "online", "--sort", "-last_seen")
    assert (plain.returncode, len(plain.stdout.splitlines())) == (0, 1)
    by_environment = {"DEPLOYX_URL": real.url, "DEPLOYX_TOKEN": token}
    assert deployx("logout").returncode == 0
    assert deployx("devices").returncode == 77
    ended = deployx("devices", **by_environment)
    assert (ended.returncode, ended.stdout) == (77, "")
    assert token not in ended.stderr


def test_signing_in_with_a_second_factor_until_it_is_reset(real: RealServer, deployx: Any) -> None:
    account = "/api/v1/auth"
    here = {"Origin": real.url}
    with contextlib.closing(Http(real.url, here, 30)) as http:
        entered = http.request("POST", f"{account}/login", json={"email": EMAIL, "password": PASSWORD})
        here["Cookie"] = f"{COOKIE}={entered.cookie(COOKIE)}"
        secret = http.request("POST", f"{account}/two-factor", headers=here).json()["secret"]
        code = totp.code_at(secret, totp.step_of(datetime.now(UTC)))
        made = http.request("POST", f"{account}/two-factor/confirm", json={"code": code}, headers=here).json()
    used = made["codes"][0]
    login = ("login", "--url", real.url, "--email", EMAIL)
    assert deployx(*login, stdin=f"{PASSWORD}\n{used}\n").returncode == 0
    assert deployx("devices").returncode == 0
    again = deployx(*login, stdin=f"{PASSWORD}\n{used}\n")
    assert (again.returncode, again.stderr) == (77, "deployx: This code is wrong, or was used already.\n")
    assert deployx(*login, stdin=f"{PASSWORD}\n").returncode == 77
    real.command("reset-two-factor", EMAIL)
    assert deployx("devices").returncode == 0  # the token is a factor of its own
    assert deployx(*login, stdin=f"{PASSWORD}\n").returncode == 0


def test_what_the_server_refuses(real: RealServer, deployx: Any) -> None:
    wrong = deployx("login", "--url", real.url, "--email", "ada@example.test", stdin="wrong password\n")
    assert wrong.returncode == 77
    assert "wrong" in wrong.stderr
    assert not deployx.login_file.exists()
    signed_in(deployx, real)
    bad_sort = deployx("devices", "--sort", "public_key")
    assert bad_sort.returncode == 2
    assert "public_key" in bad_sort.stderr
    real.command("disable-user", "ada@example.test")
    cut_off = deployx("devices", "--json")
    assert (cut_off.returncode, cut_off.stdout) == (77, "")
    for done in (wrong, bad_sort, cut_off):
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("deployx: ")


def test_a_server_that_is_gone_is_69(real: RealServer, deployx: Any) -> None:
    signed_in(deployx, real)
    real.stop()
    done = deployx("devices")
    assert (done.returncode, done.stdout) == (69, "")
    assert "cannot be reached" in done.stderr
