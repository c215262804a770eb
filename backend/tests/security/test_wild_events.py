"""Wild events on both Socket.IO servers, of peers that are let in and of others.

Nothing crashes, nothing is dispatched before a registration or a sign-in, others do not notice, the log stays small.
"""

import asyncio
import functools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.complaints import Complaints
from app.realtime.agents import AgentGateway
from app.realtime.dashboards import DashboardGateway
from app.realtime.registering import FAILURES_LOGGED
from app.realtime.sessions import AgentSession
from deployx_protocol import events
from tests.support import rows
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, RunningNode, Serve
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson, Person
from tests.support.wild_events import packets
from tests.support.work import queue, run_of

# One database: what is refused here never gets to one.
pytestmark = pytest.mark.databases("sqlite")

UI = "/ui/socket.io/"
AT_ONCE = 2
HANDLERS = ("_ping", "_acknowledged", "_leaving", "_task_updates", "_task_output")
WARNINGS_PER_MINUTE = FAILURES_LOGGED + 1 + 4 * (Complaints.PER_WINDOW + 1)
"""Of one address: of registrations, and of packets, events, reports and transports that are no good."""


class Dispatched:
    """Counts what reached a handler of agents, apart by whether the agent had registered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.registered = 0
        self.too_early: list[str] = []
        for name in HANDLERS:
            monkeypatch.setattr(AgentGateway, name, self._counted(getattr(AgentGateway, name)))

    def _counted(self, handler: Any) -> Any:
        @functools.wraps(handler)
        async def counted(gateway: AgentGateway, session: AgentSession, payload: Any) -> Any:
            if session.anonymous:
                self.too_early.append(handler.__name__)
            else:
                self.registered += 1
            return await handler(gateway, session, payload)

        return counted


async def _storm(node: RunningNode, path: str, pending: Iterator[str | bytes], enter: Any) -> None:
    """Send all of ``pending``, over as many connections as it takes; the server has dealt with it when this ends."""
    for first in pending:
        async with RawLink.opened(node.url, path) as link:
            await enter(link)
            await link.send(first)
            while await link.alive():
                following = [packet for packet, _ in zip(pending, range(8), strict=False)]
                if not following:
                    return
                for packet in following:
                    await link.send(packet)


async def _storms(node: RunningNode, path: str, wave: Iterator[str | bytes], enter: Any) -> None:
    await asyncio.gather(*(_storm(node, path, wave, enter) for _ in range(AT_ONCE)))


def _few_lines(logged: list[str], started: float) -> None:
    assert not [line for line in logged if "Traceback" in line or "[ERROR]" in line]
    warnings = [line for line in logged if "[WARNING]" in line]
    assert len(warnings) <= WARNINGS_PER_MINUTE * (1 + (time.monotonic() - started) / 60), warnings[:50]


async def _agents(count: int, serve: Serve, agent: MakeAgent, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    started, dispatched = time.monotonic(), Dispatched(monkeypatch)
    node = await serve(enrollment="token")
    steady, wild = Machine(), Machine()
    async with node.db.write() as session:
        for number, machine in enumerate((steady, wild), 1):
            keys = {"public_key": machine.public_key, "agent_id": machine.agent_id, "machine_id": machine.machine_id}
            session.add(rows.device(number, **keys))
    [task_id] = await queue(node.db, [1])
    here = agent(node, steady)
    await here.start()
    heartbeats = dispatched.registered
    update = {
        "task_id": task_id,
        "state": "failed",
        "ago_s": 0.5,
        "code": "",
        "message": "",
        "exit_code": 1,
        "signal": 9,
    }
    payloads = {
        events.AGENT_REGISTER: wild.register(node.url, "another connection", "b" * 32),
        events.REGISTRATION_ACK: {"generation": 1},
        events.PING: {"note": "x"},
        events.AGENT_LEAVING: {"reason": "stopping"},
        events.TASK_UPDATES: {"updates": [update]},
        events.TASK_OUTPUT: {"task_id": task_id, "chunks": [{"seq": 0, "stream": 1, "data": "aGk="}]},
    }

    async def connect(link: RawLink) -> None:
        assert await link.enter() is None

    async def register(link: RawLink) -> None:
        await connect(link)
        await link.emit(events.AGENT_REGISTER, wild.register(node.url, link.sid, "b" * 32))
        await link.event(events.REGISTRATION_SUCCESS)

    await _storms(node, "/socket.io/", packets(1, count // 2, payloads), connect)
    assert dispatched.too_early == []
    assert dispatched.registered == heartbeats
    await _storm(node, "/socket.io/", packets(2, count // 2, payloads), register)
    assert dispatched.too_early == []
    assert dispatched.registered > heartbeats + count // 10
    assert here.open
    assert (await here.call(events.PING))["ok"]
    assert [row.agent_id for row in await node.devices()] == [steady.agent_id, wild.agent_id]
    _few_lines(lines(), started)


async def _dashboards(count: int, serve: Serve, ada: Person, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    seen: list[tuple[bool, str]] = []
    handle = DashboardGateway.received

    async def counted(gateway: DashboardGateway, sid: str, name: str, args: list[Any]) -> dict[str, Any]:
        seen.append((sid in gateway._viewers, name))
        return await handle(gateway, sid, name, args)

    monkeypatch.setattr(DashboardGateway, "received", counted)
    node = await serve()
    async with node.db.write() as session:
        session.add(rows.device(1, user_id=ada.id))
    [task_id] = await queue(node.db, [1], user_id=ada.id)
    run_id = (await run_of(node.db, task_id)).id
    payloads: dict[str, dict[str, Any]] = {
        events.WATCH: {"batch": True},
        events.WATCH_RUN: {"run_id": run_id},
        events.UNWATCH_RUN: {"run_id": run_id},
    }

    async def remain_outside(link: RawLink) -> None:
        """Without a sign-in; whatever is sent then comes too early."""

    async def sign_in(link: RawLink) -> None:
        assert await link.enter({"token": ada.token, "batch": True}) is None

    await _storms(node, UI, packets(3, count // 2, payloads), remain_outside)
    assert seen == []
    await _storms(node, UI, packets(4, count // 2, payloads), sign_in)
    assert len(seen) > count // 10
    assert all(signed_in for signed_in, _ in seen)
    async with RawLink.connected(node.url, UI, auth={"token": ada.token, "batch": True}) as link:
        await link.emit(events.WATCH, {})
        assert (await link.event(events.SNAPSHOT_DEVICES))[1]["devices"][0]["id"] == 1
    _few_lines(lines(), started)


async def test_fault_17_wild_events_of_agents(
    serve: Serve, agent: MakeAgent, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _agents(1_000, serve, agent, lines, monkeypatch)


async def test_fault_17_wild_events_of_dashboards(
    serve: Serve, person: MakePerson, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _dashboards(1_000, serve, await person(), lines, monkeypatch)


@pytest.mark.soak
async def test_fault_17_fifty_thousand_wild_events_of_agents(
    serve: Serve, agent: MakeAgent, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _agents(50_000, serve, agent, lines, monkeypatch)


@pytest.mark.soak
async def test_fault_17_fifty_thousand_wild_events_of_dashboards(
    serve: Serve, person: MakePerson, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _dashboards(50_000, serve, await person(), lines, monkeypatch)


@pytest.mark.parametrize("path", ["/socket.io/", UI])
async def test_threat_20_a_session_that_its_peer_closed_keeps_no_connection(path: str, serve: Serve) -> None:
    node = await serve(enrollment="token")
    async with RawLink.opened(node.url, path) as link:
        await link.send("1")
        assert await link.event_or_end() is None
