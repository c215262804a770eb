"""What the tests of the command line share: a server that is started as an operator starts it, and signing in to it."""

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

SERVER = str(Path(sys.executable).with_name("deployx-server"))
EMAIL = "ada@example.test"
PASSWORD = "correct horse battery"
START_S = 60.0


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

    def stop(self) -> None:
        """End it in order."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=START_S)
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None


def signed_in(deployx: Any, real: RealServer) -> None:
    """Sign in and keep the token."""
    done = deployx("login", "--url", real.url, "--email", EMAIL, stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
