"""When the server is told what is installed: the child is real, the server's answers are given by hand."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployx_agent.connection.transport import Answer, RequestError
from deployx_agent.logs import Log
from deployx_agent.software import reporter
from deployx_agent.software.reporter import PATH, Reporter
from deployx_agent.tasks.outbox import Connection
from deployx_protocol.software import judged

STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
PATIENCE_S = 60.0


class Server:
    """A link to a server that remembers one report. ``fails`` and ``status`` say how it answers instead."""

    def __init__(self) -> None:
        self.hash = ""
        self.names: list[str] = []
        self.asked = 0
        self.fails = False
        self.status = 200
        self.heard = asyncio.Event()

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        assert (method, bearer) == ("POST", "token")
        self.heard.set()
        self.asked += 1
        if self.fails:
            raise RequestError("the connection is closed")
        if self.status != 200:
            return Answer(self.status, b"{}")
        if path == PATH:
            raw, report = judged(body)
            self.hash, self.names = hashlib.sha256(raw).hexdigest(), [one.name for one in report.packages]
            return Answer(200, b'{"packages": 1}')
        wanted = path != f"{PATH}?sha256={self.hash}"
        return Answer(200, b'{"wanted": true}' if wanted else b'{"wanted": false}')

    async def until(self, count: int) -> None:
        """Until it was asked so often."""
        async with asyncio.timeout(PATIENCE_S):
            while self.asked < count:
                self.heard.clear()
                await self.heard.wait()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_S", "SETTLE_S", "AGAIN_S", "PAUSE_S"):
        monkeypatch.setattr(reporter, name, 0.0)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[tuple[Reporter, Path]]:
    """A reporter that runs, and the database of its machine."""
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(STATUS.format("bash"))
    made = Reporter(tmp_path, Log(logging.getLogger("test")), chance=lambda: 0.5)
    running = asyncio.create_task(made.run())
    yield made, status
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_it_is_told_once_and_again_when_it_changed(machine: tuple[Reporter, Path]) -> None:
    made, status = machine
    server = Server()
    link = Connection(server, "agent", "token")  # type: ignore[arg-type]
    made.linked(link)
    await server.until(2)
    assert server.names == ["bash"]
    made.linked(None)
    made.linked(link)  # it came back: the server knows
    made.changed()  # a release that changed nothing
    await server.until(3)
    status.write_text(STATUS.format("zsh"))
    made.changed()
    await server.until(5)
    assert (server.names, server.asked) == (["zsh"], 5)


async def test_a_server_that_lost_it_is_told_again(machine: tuple[Reporter, Path]) -> None:
    made, _ = machine
    server = Server()
    made.linked(Connection(server, "agent", "token"))  # type: ignore[arg-type]
    await server.until(2)
    server.hash = "restored"
    made.changed()
    await server.until(4)
    assert server.hash != "restored"


async def test_what_fails_is_tried_again(machine: tuple[Reporter, Path]) -> None:
    made, _ = machine
    server = Server()
    server.fails = True
    made.linked(Connection(server, "agent", "token"))  # type: ignore[arg-type]
    await server.until(1)
    server.fails, server.status = False, 429
    await server.until(2)
    server.status = 200
    await server.until(4)
    assert server.names == ["bash"]


async def test_whoever_is_not_accepted_asks_when_it_comes_again(machine: tuple[Reporter, Path]) -> None:
    made, _ = machine
    server = Server()
    server.status = 404
    link = Connection(server, "agent", "token")  # type: ignore[arg-type]
    made.linked(link)
    await server.until(1)
    server.status = 200
    made.linked(link)  # as after a registration
    await server.until(3)
    assert server.names == ["bash"]
