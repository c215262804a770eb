"""`deployx` as a process, and a small HTTP server that answers what a test tells it to, wrong answers included."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import prepared
from tests.support.shell import bare_environment

collect_ignore = [] if os.geteuid() == 0 else ["test_signed_runs.py", "test_signed_releases.py"]
"""A machine believes a policy only if it is root's."""


_PROGRAM = str(Path(sys.executable).with_name("deployx"))


@dataclass
class Request:
    """What arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Reply = tuple[int, Any, dict[str, str]]
"""Status, body (bytes as they are, anything else as JSON), headers."""


class Server:
    """A real HTTP server on a free port; `answers` decides, `requests` remembers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Reply] = lambda request: (404, {"code": "not_found"}, {})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, json.loads(raw) if raw else None)
                outer.requests.append(request)
                status, body, extra = outer.answer(request)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = respond

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


class Deployx:
    """The command, with a home of its own. A call is forked from one that is loaded, if its start does not matter."""

    def __init__(self, home: Path) -> None:
        self.login_file = home / "deployx" / "login.json"
        self._env = {**bare_environment(home), "XDG_CONFIG_HOME": str(home), "COLUMNS": "160"}

    def __call__(
        self, *arguments: str, stdin: str = "", forked: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        env = {**self._env, **env}
        if forked:
            done = prepared.run("deployx", arguments, env, stdin.encode())
        else:
            done = subprocess.run(
                [_PROGRAM, *arguments], input=stdin.encode(), env=env, capture_output=True, timeout=60, check=False
            )
        return subprocess.CompletedProcess(done.args, done.returncode, _text(done.stdout), _text(done.stderr))

    def binary(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """The same, with bytes as they are."""
        return prepared.run("deployx", arguments, self._env, stdin)

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start it, and go on."""
        command = [_PROGRAM, *arguments]
        env = {**self._env, "TERM": "xterm"}
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=env)

    def on_terminal(self, *arguments: str, **env: str) -> str:
        """What it prints when stdout is a terminal."""
        ours, theirs = pty.openpty()
        command = [_PROGRAM, *arguments]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env={**self._env, "TERM": "xterm", **env}
        )
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 65536):
                printed += chunk
        except OSError:  # Linux says EIO when the other end is closed
            pass
        os.close(ours)
        assert process.wait(timeout=60) == 0, printed.decode()
        return printed.decode()


def _text(said: bytes) -> str:
    return said.decode().replace("\r\n", "\n").replace("\r", "\n")  # as subprocess reads it


@pytest.fixture
def deployx(tmp_path: Path) -> Deployx:
    return Deployx(tmp_path)
