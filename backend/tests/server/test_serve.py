"""`deployx-server serve` as a process: what keeps it from starting, in one line each, and how it ends."""

import contextlib
import re
import socket
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.postgres import free_port
from tests.support.server import PASSWORD


def refused(done: Any, exit_code: int, says: str, *, lines: int = 1) -> None:
    """The command has ended with ``exit_code`` and ``lines`` lines on stderr, ``says`` among them."""
    assert done.returncode == exit_code, done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == lines, done.stderr
    assert all(line.startswith("deployx-server: ") for line in done.stderr.splitlines()), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_port_in_use_is_69(server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(server("serve", DEPLOYX_PORT=str(port)), 69, f"127.0.0.1 port {port} is in use")
    assert not server.data.exists()


def test_unusable_settings_are_all_named_and_78(server: Any) -> None:
    env = {
        "DEPLOYX_PORT": "eighty",
        "DEPLOYX_PING_INTERVAL": "0",
        "DEPLOYX_ENROLLMENT": "everyone",
        "DEPLOYX_DATABASE_URL": "mysql://root:hunter2hunter2@db/x",
        "DEPLOYX_PUBLIC_URL": "not a url",
        "DEPLOYX_TRUSTED_PROXIES": "localhost",
        "DEPLOYX_LOG_LEVEL": "loud",
        "DEPLOYX_ADMIN_PASSWORD": "tooshort",
        "DEPLOYX_HEARTBEAT_INTERVAL": "often",
    }
    done = server("serve", **env)
    refused(done, 78, "DEPLOYX_PORT", lines=len(env))
    for name in env:
        assert f"deployx-server: {name}: " in done.stderr, name
    for secret in ("hunter2hunter2", "tooshort"):
        assert secret not in done.stderr
    assert not server.data.exists()


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"DEPLOYX_ADMIN_EMAIL": "ada@example.test"}, "DEPLOYX_ADMIN_EMAIL and DEPLOYX_ADMIN_PASSWORD go together"),
        ({"DEPLOYX_ADMIN_PASSWORD_FILE": "/nonexistent"}, "/nonexistent"),
        ({"DEPLOYX_DATABASE_URL_FILE": "/"}, "secret's file"),
        ({"DEPLOYX_HOST": "0.0.0.0"}, "set DEPLOYX_PUBLIC_URL"),
        ({"DEPLOYX_HOST": "::"}, "set DEPLOYX_PUBLIC_URL"),
        ({"DEPLOYX_PUBLIC_URL": "https://example.com/deployx"}, "must end after the host and port"),
        ({"DEPLOYX_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ({"DEPLOYX_HOST": "no.such.host.invalid"}, "cannot listen on no.such.host.invalid"),
        ({"DEPLOYX_DATA_DIR": "/proc/deployx"}, "/proc/deployx cannot be used"),
        ({"DEPLOYX_ADMIN_EMAIL": "nobody", "DEPLOYX_ADMIN_PASSWORD": PASSWORD}, "name@example.com"),
    ],
)
def test_each_reason_not_to_start_is_one_line(env: dict[str, str], says: str, server: Any) -> None:
    refused(server("serve", **{"DEPLOYX_PORT": str(free_port()), **env}), 78, says)


def test_a_misspelt_variable_is_a_warning(server: Any) -> None:
    with server.serving(DEPLOYX_PUBLC_URL="https://a.example") as running:
        assert "DEPLOYX_PUBLC_URL is not a setting" in running.log()
        assert "did you mean DEPLOYX_PUBLIC_URL?" in running.log()
        made = server("create-user", "ada@example.test", "--generate", DEPLOYX_PUBLC_URL="https://a.example")
        assert made.returncode == 0
        assert made.stderr.count("did you mean DEPLOYX_PUBLIC_URL?") == 1
        assert len(made.stdout) == 21


def test_a_second_server_on_one_folder_is_75(server: Any) -> None:
    with server.serving() as first:
        refused(server("serve", DEPLOYX_PORT="0"), 75, f"Another server is using {server.data}")
        assert httpx2.get(f"{first.url}/readyz").status_code == 200
    with server.serving() as again:  # kill -9 has freed it
        assert httpx2.get(f"{again.url}/readyz").status_code == 200


def test_a_newer_database_is_78(server: Any) -> None:
    assert server("migrate").returncode == 0
    with contextlib.closing(sqlite3.connect(server.data / "deployx.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (("serve",), ("migrate",), ("create-admin", "ada@example.test", "--generate")):
        done = server(*command, DEPLOYX_PORT=str(free_port()))
        refused(done, 78, "install the version that made it")
        assert "9999" in done.stderr


def test_a_database_that_is_away_is_69(server: Any) -> None:
    url = f"postgresql://deployx:hunter2hunter2@127.0.0.1:{free_port()}/deployx"
    for command in (("serve",), ("migrate",), ("create-admin", "ada@example.test", "--generate")):
        done = server(*command, DEPLOYX_DATABASE_URL=url, DEPLOYX_PORT=str(free_port()))
        refused(done, 69, "cannot be used")
        assert "hunter2hunter2" not in done.stderr
        assert "***" in done.stderr


def test_a_file_that_is_no_database_is_69(server: Any) -> None:
    server.data.mkdir()
    (server.data / "deployx.db").write_text("this is not a database, whatever its name says\n" * 100)
    refused(server("serve", DEPLOYX_PORT=str(free_port())), 69, "cannot be used")


def test_it_ends_in_time_and_with_0(server: Any) -> None:
    with server.serving() as running, socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2]))):
        assert httpx2.get(f"{running.url}/healthz").text == "ok\n"
        code, took_s = running.stop()
        assert code == 0
        assert took_s <= 10
        assert "server.stopped" in running.log()
        assert "Traceback" not in running.log()


def test_the_folder_is_the_owners_alone(server: Any) -> None:
    assert server("migrate").returncode == 0
    assert server.data.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", ["environment", "file"])
def test_threat_22_the_first_administrator_is_made_once(how: str, server: Any, tmp_path: Path) -> None:
    def env(password: str) -> dict[str, str]:
        if how == "environment":
            return {"DEPLOYX_ADMIN_EMAIL": "ada@example.test", "DEPLOYX_ADMIN_PASSWORD": password}
        file = tmp_path / "password"
        file.write_text(f"{password}\n")
        return {"DEPLOYX_ADMIN_EMAIL": "ada@example.test", "DEPLOYX_ADMIN_PASSWORD_FILE": str(file)}

    def signs_in(url: str, email: str, password: str) -> bool:
        answer = httpx2.post(f"{url}/api/v1/auth/login", json={"email": email, "password": password})
        assert answer.status_code in (200, 401)
        return answer.status_code == 200 and answer.json()["role"] == "admin"

    with server.serving(**env(PASSWORD)) as running:
        assert signs_in(running.url, "ada@example.test", PASSWORD)
        assert running.stop()[0] == 0
    with server.serving(**env("another good password")) as running:
        assert signs_in(running.url, "ada@example.test", PASSWORD)
        assert not signs_in(running.url, "ada@example.test", "another good password")
        assert running.stop()[0] == 0
    with server.serving(**{**env("another good password"), "DEPLOYX_ADMIN_EMAIL": "eve@example.test"}) as running:
        assert not signs_in(running.url, "eve@example.test", "another good password")
        assert running.stop()[0] == 0
    assert not any(PASSWORD in text or "another good password" in text for text in server.printed)


def test_a_server_without_users_says_how_to_make_one(server: Any) -> None:
    with server.serving() as running:
        assert "create-admin" in running.log()
        for line in running.log().splitlines():
            assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[[A-Z]+\] ", line), line
