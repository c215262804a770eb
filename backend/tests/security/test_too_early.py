"""Events that come before a connection is let in: while that is being decided, after it was refused, after it failed.

Whoever waits sends over the polling transport: there one request is not held back by another, as messages of one
websocket are.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from socketio.exceptions import ConnectionRefusedError as Refusal

from app.realtime.agents import AgentGateway
from app.realtime.dashboards import DashboardGateway
from deployx_protocol import events
from tests.support.machines import Machine
from tests.support.node import RunningNode, Serve
from tests.support.rawlink import RawLink

# One database: nothing here gets to one.
pytestmark = pytest.mark.databases("sqlite")

AGENTS, DASHBOARDS = "/socket.io/", "/ui/socket.io/"
GATEWAYS: dict[str, Any] = {AGENTS: AgentGateway, DASHBOARDS: DashboardGateway}
EVENTS = {AGENTS: (events.AGENT_REGISTER, *sorted(events.FROM_AGENT)), DASHBOARDS: tuple(sorted(events.FROM_DASHBOARD))}
ERRORS = [Refusal("no"), RuntimeError("a bug"), TimeoutError(), asyncio.CancelledError()]


@dataclass
class Door:
    """A gateway whose decision about a connection is the test's, and what reached it anyway."""

    decided: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    received: list[str] = field(default_factory=list)

    def shut(self, monkeypatch: pytest.MonkeyPatch, path: str, end: Callable[[], None] | None = None) -> None:
        """Nobody gets through before ``decided``; then ``end`` may raise."""
        gateway = GATEWAYS[path]
        connecting, received = gateway.connecting, gateway.received

        async def decide(this: Any, sid: str, environ: Any, auth: Any) -> None:
            self.asked.set()
            await self.decided.wait()
            if end:
                end()
            await connecting(this, sid, environ, auth)

        async def count(this: Any, sid: str, name: str, args: list[Any]) -> Any:
            self.received.append(name)
            return await received(this, sid, name, args)

        monkeypatch.setattr(gateway, "connecting", decide)
        monkeypatch.setattr(gateway, "received", count)


@dataclass
class Polling:
    """A transport of single requests, each with one packet."""

    http: httpx2.AsyncClient
    eio_sid: str

    async def post(self, packet: str) -> int:
        """Send one packet; the status of the answer."""
        query = {"EIO": "4", "transport": "polling", "sid": self.eio_sid}
        answer = await self.http.post(AGENTS, params=query, content=packet, headers={"content-type": "text/plain"})
        return answer.status_code


@contextlib.asynccontextmanager
async def polling(node: RunningNode) -> AsyncIterator[Polling]:
    """An Engine.IO connection to the agents' server, before any Socket.IO CONNECT."""
    async with httpx2.AsyncClient(base_url=node.url, verify=False, timeout=30) as http:
        opened = (await http.get(AGENTS, params={"EIO": "4", "transport": "polling"})).text
        yield Polling(http, httpx2.Response(200, text=opened[1:]).json()["sid"])


def an_event(name: str, machine: Machine | None = None) -> str:
    """A packet with this event."""
    payload = httpx2.Request("POST", "http://x", json=machine.seed() if machine else {}).content.decode()
    return f'42["{name}",{payload}]'


@pytest.fixture
def door() -> Door:
    """Shut."""
    return Door()


async def test_threat_01_nothing_is_dispatched_while_the_connection_is_pending(
    serve: Serve, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.shut(monkeypatch, AGENTS)
    node = await serve(enrollment="approval")
    async with polling(node) as waiting:
        connect = asyncio.create_task(waiting.post("40"))
        await door.asked.wait()
        sent = [asyncio.create_task(waiting.post(an_event(name, Machine()))) for name in EVENTS[AGENTS]]
        await asyncio.wait(sent, timeout=10)
        assert door.received == []
        door.decided.set()
        await asyncio.gather(connect, *sent, return_exceptions=True)
    assert door.received == []
    assert await node.devices() == []


@pytest.mark.parametrize("path", [AGENTS, DASHBOARDS])
async def test_threat_01_nothing_is_dispatched_before_the_connection_is_asked_for(
    path: str, serve: Serve, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.shut(monkeypatch, path)
    node = await serve(enrollment="approval")
    for name in EVENTS[path]:
        async with RawLink.opened(node.url, path) as link:
            await link.send(an_event(name, Machine()))
            if not door.received:
                assert await link.event_or_end() is None
    assert door.received == []
    assert not door.asked.is_set()


@pytest.mark.parametrize("error", ERRORS)
async def test_threat_01_nothing_is_dispatched_after_the_connection_failed_over_single_requests(
    error: BaseException, serve: Serve, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    door.shut(monkeypatch, AGENTS, fail)
    node = await serve(enrollment="approval")
    async with polling(node) as waiting:
        door.decided.set()
        await waiting.post("40")
        for name in EVENTS[AGENTS]:
            await waiting.post(an_event(name, Machine()))
    assert door.asked.is_set()
    assert door.received == []
    assert await node.devices() == []


@pytest.mark.parametrize("path", [AGENTS, DASHBOARDS])
@pytest.mark.parametrize("error", ERRORS)
async def test_threat_01_nothing_is_dispatched_after_the_connection_failed(
    path: str, error: BaseException, serve: Serve, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    door.shut(monkeypatch, path, fail)
    node = await serve(enrollment="approval")
    async with RawLink.opened(node.url, path) as link:
        await link.send("40")
        for name in EVENTS[path]:  # they wait behind the CONNECT
            await link.send(an_event(name, Machine()))
        await door.asked.wait()
        door.decided.set()
        for name in EVENTS[path]:
            await link.send(an_event(name, Machine()))
        while await link.event_or_end() is not None:
            pass
    assert door.received == []
    assert await node.devices() == []
