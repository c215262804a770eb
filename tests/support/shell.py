"""What the tests of the command line share: a server that is started as an operator starts it, and signing in to it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.support import prepared

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
        self._process: prepared.Started | None = None
        self._log = folder / "server.log"
        self.url = ""

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Run one of its commands, and give what it prints."""
        done = prepared.run("server", arguments, self._env, stdin.encode())
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def start(self) -> None:
        """Serve on a free port."""
        with Path(os.devnull).open("rb") as nothing, self._log.open("wb") as log:
            self._process = prepared.start("server", ["serve", "--port", "0"], self._env, (nothing, log, log))
        self.url = until(self._started, "the server to start")

    def _started(self) -> str:
        """Where it serves; empty while it does not yet."""
        said = self._log.read_text()
        assert self._process is not None
        assert self._process.poll() is None, said
        _, _, rest = said.partition("server.started url=")
        return rest.partition("\n")[0] if "\n" in rest else ""

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
            self._process.wait(START_S)
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
