"""`deployx artifact`: a file goes up in pieces, through cuts and restarts, and what comes down is that file."""

import contextlib
import hashlib
import json
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployx_cli import uploading
from deployx_cli.api import Api
from deployx_cli.errors import CommandError, Unreachable
from deployx_cli.progress import Progress
from tests.support.shell import PASSWORD, RealServer, signed_in


class Cutting:
    """A TCP forwarder that cuts each connection after so many bytes to the server."""

    def __init__(self, port: int, cut_after: int) -> None:
        self._port = port
        self._cut_after = cut_after
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        pairs = []
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self._port))
                up = threading.Thread(target=self._forward, args=(ours, theirs, self._cut_after))
                down = threading.Thread(target=self._forward, args=(theirs, ours, 1 << 60))
                up.start()
                down.start()
                pairs += [up, down]
        for one in pairs:
            one.join()

    def _forward(self, source: socket.socket, target: socket.socket, left: int) -> None:
        with contextlib.suppress(OSError):
            while left > 0 and (data := source.recv(min(left, 65536))):
                target.sendall(data)
                left -= len(data)
        self.cuts += left == 0
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that runs."""
    server = RealServer(tmp_path_factory.mktemp("server"))
    server.command("create-user", "ada@example.test", stdin=f"{PASSWORD}\n")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


def test_a_file_goes_up_through_cuts(real: RealServer, deployx: Any, tmp_path: Path) -> None:
    signed_in(deployx, real)
    token = json.loads(deployx.login_file.read_text())["token"]
    file = tmp_path / "shop-2.4.tar.gz"
    file.write_bytes(random.Random(7).randbytes(3_000_000))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    with contextlib.closing(Cutting(int(real.url.rpartition(":")[2]), 700_000)) as cutting:
        by_environment = {"DEPLOYX_URL": cutting.url, "DEPLOYX_TOKEN": token}
        done = deployx("artifact", "upload", str(file), "--json", **by_environment)
        assert (done.returncode, done.stderr) == (0, "")
        [found] = json.loads(done.stdout)
        assert (found["sha256"], found["size"], found["name"]) == (sha256, 3_000_000, file.name)
        assert cutting.cuts >= 4
    with real.api() as client:
        assert client.get(f"/artifacts/{sha256}/content").content == file.read_bytes()
    again = deployx("artifact", "upload", str(file))
    assert (again.returncode, again.stdout) == (0, f"{sha256}  {file.name}\n")
    listed = deployx("artifact", "list").stdout.splitlines()
    assert [line.split("\t")[:3] for line in listed] == [["SHA256", "BYTES", "RELEASES"], [sha256, "3000000", "0"]]
    assert deployx("artifact", "delete", sha256).returncode == 0
    assert deployx("artifact", "delete", sha256).returncode == 1
    assert json.loads(deployx("artifact", "list", "--json").stdout) == []
    assert deployx("artifact", "delete", "12").returncode == 2
    missing = deployx("artifact", "upload", str(tmp_path / "none"))
    assert (missing.returncode, missing.stderr) == (2, f"deployx: There is no file {tmp_path / 'none'}.\n")


def _view(request: Any, offset: int, **more: Any) -> dict[str, Any]:
    return {"id": "u1", "offset": offset, "complete": False, "piece_max_bytes": 1000, "artifact": None, **more}


def test_when_nothing_passes_it_gives_up_and_says_how_to_go_on(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "GIVE_UP_S", -1.0)
    file = tmp_path / "x"
    file.write_bytes(b"{}")
    busy = {"code": "upload_busy", "detail": "Another piece is being received."}
    server.answer = lambda request: (200, _view(request, 0), {}) if request.method == "POST" else (409, busy, {})
    with Api(server.url) as api, pytest.raises(Unreachable, match=r"received\. What was sent is kept: run this again"):
        uploading.upload(api, file, Progress(), pause=lambda _: None)


def test_a_server_that_answers_nonsense_is_none_of_ours(server: Any, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"{}")
    server.answer = lambda request: (200, {"offset": "much"}, {})
    with Api(server.url) as api, pytest.raises(CommandError, match="does not answer like a DeployX server"):
        uploading.upload(api, file, Progress())


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")])
def test_bytes_are_said_as_people_do(count: int, said: str) -> None:
    assert uploading.spoken(count) == said
