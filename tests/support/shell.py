"""What the tests of the command line share: a server that is started as an operator starts it, and signing in to it."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

SERVER = str(Path(sys.executable).with_name("deployx-server"))
EMAIL = "ada@example.test"
PASSWORD = "correct horse battery"
START_S = 60.0
DEADLINE_S = 60.0


def bare_environment(home: Path) -> dict[str, str]:
    """For a program that is to know nothing of whoever runs the tests, but where its code is."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(home)}


class RealServer:
    """`deployx-server` on a SQLite database of its own, with one operator."""

    def __init__(self, folder: Path) -> None:
        self._env = {**bare_environment(folder), "DEPLOYX_DATA_DIR": str(folder)}
        self._process: subprocess.Popen[str] | None = None
        self._log = folder / "server.log"
        self.url = ""

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Run one of its commands, and give what it prints."""
        command = [SERVER, *arguments]
        done = subprocess.run(command, input=stdin, env=self._env, check=True, text=True, capture_output=True)
        return done.stdout

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

    @contextlib.contextmanager
    def api(self) -> Iterator[httpx2.Client]:
        """Its API, for the operator, with a session as a browser has one."""
        with httpx2.Client(base_url=f"{self.url}/api/v1", timeout=30) as client:
            sign_in = client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
            cookie = sign_in.headers["set-cookie"].partition(";")[0]
            client.cookies.clear()
            client.headers.update({"cookie": cookie, "origin": self.url})
            yield client

    def stop(self) -> None:
        """End it in order."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=START_S)
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None


def until(holds: Callable[[], Any], what: str) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.05)
    return answer


def signed_in(deployx: Any, real: RealServer) -> None:
    """Sign in and keep the token."""
    done = deployx("login", "--url", real.url, "--email", EMAIL, stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
