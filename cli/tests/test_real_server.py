"""`deployx` against the server as it is: sign in, list, and what a refusal looks like from a shell."""

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = str(Path(sys.executable).with_name("deployx-server"))
PASSWORD = "correct horse battery"
START_S = 60.0


class RealServer:
    """`deployx-server` on a SQLite database of its own, with one operator."""

    def __init__(self, folder: Path) -> None:
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DEPLOYX_DATA_DIR": str(folder)}
        self._process: subprocess.Popen[str] | None = None
        self._log = folder / "server.log"
        self.url = ""

    def command(self, *arguments: str, stdin: str = "") -> None:
        """Run one of its commands."""
        subprocess.run([SERVER, *arguments], input=stdin, env=self._env, check=True, text=True, capture_output=True)

    def start(self) -> None:
        """Serve on a free port."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [SERVER, "serve", "--port", "0"], env=self._env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else ""
        assert line.startswith("server.started"), self._log.read_text()
        self.url = line.strip().partition("url=")[2]

    def stop(self) -> None:
        """End it in order."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=START_S)
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that runs."""
    server = RealServer(tmp_path_factory.mktemp("server"))
    server.command("create-user", "ada@example.test", stdin=f"{PASSWORD}\n")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


def signed_in(deployx: Any, real: RealServer) -> None:
    """Sign in and keep the token."""
    done = deployx("login", "--url", real.url, "--email", "ada@example.test", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr


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


def test_what_the_server_refuses(real: RealServer, deployx: Any) -> None:
    wrong = deployx("login", "--url", real.url, "--email", "ada@example.test", stdin="wrong password\n")
    assert wrong.returncode == 77
    assert "wrong" in wrong.stderr
    assert not deployx.login_file.exists()
    signed_in(deployx, real)
    bad_sort = deployx("devices", "--sort", "public_key")
    assert bad_sort.returncode == 1
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
