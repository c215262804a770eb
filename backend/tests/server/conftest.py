"""`deployx-server` as the process that it is, with a folder and an environment of its own."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("deployx-server"))
START_S = 60.0


class DeployxServer:
    """The installed command. ``printed`` is all that its processes have said, for a search for secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.printed: list[str] = []
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DEPLOYX_DATA_DIR": str(self.data)}
        self._number = 0

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**self._env, **env},
            cwd=self.folder,
            timeout=START_S,
            check=False,
        )
        self.printed += [done.stdout, done.stderr]
        return done

    @contextlib.contextmanager
    def serving(self, **env: str) -> Iterator["Serving"]:
        """`deployx-server serve` on a free port, until the block ends."""
        self._number += 1
        log = self.folder / f"serve-{self._number}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [COMMAND, "serve", "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stream,
                env={**self._env, **env},
                cwd=self.folder,
                text=True,
            )
        try:
            yield Serving(process, _url(process, log), log)
        finally:
            if process.poll() is None:
                process.kill()
            assert process.stdout
            self.printed += [process.stdout.read(), log.read_text()]
            process.wait()
            process.stdout.close()


class Serving:
    """A server process that answers."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self._log = log

    def log(self) -> str:
        """What it has written to stderr."""
        return self._log.read_text()

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; the exit code, and how many seconds it took."""
        begun = time.monotonic()
        self.process.terminate()
        return self.process.wait(timeout=START_S), time.monotonic() - begun


def _url(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], START_S)
    line = process.stdout.readline() if ready else ""
    if not line.startswith("server.started url="):
        process.kill()
        raise AssertionError(f"the server did not start: {line!r}\n{log.read_text()}")
    return line.strip().partition("url=")[2]


@pytest.fixture
def server(tmp_path: Path) -> DeployxServer:
    """The command."""
    return DeployxServer(tmp_path)


@pytest.fixture(scope="session")
def administered(tmp_path_factory: pytest.TempPathFactory) -> DeployxServer:
    """The command where there is an administrator, ada@example.test. For what changes nothing."""
    server = DeployxServer(tmp_path_factory.mktemp("administered"))
    assert server("create-admin", "ada@example.test", "--generate").returncode == 0
    return server
