"""A server for the agent's tests: real Socket.IO on a real port, and a script for what it answers.

It believes nothing: each registration is decoded with the protocol's structs and its signature verified here, against
the sid that this side chose. What came, and what the state folder held at that moment, is recorded.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import socketio
from aiohttp import web
from nacl.signing import VerifyKey

from deployx_protocol import checks, events
from deployx_protocol.codes import Code
from deployx_protocol.messages import (
    AgentLeaving,
    AgentRegister,
    Message,
    Pong,
    RegistrationAck,
    RegistrationFailed,
    RegistrationSuccess,
    SessionEnded,
)
from deployx_protocol.signing import register_bytes
from deployx_protocol.states import Trust

DEADLINE_S = 60.0
Answer = Callable[[str, AgentRegister], Awaitable[None]]


@dataclass
class Seen:
    """One event from an agent, or its coming (`connect`) and going (`disconnect`)."""

    sid: str
    event: str
    payload: Any = None
    machine_id_file: dict[str, Any] = field(default_factory=dict)


class Peer:
    """Speaks the server's part. Set ``answer`` to script registrations; ``pongs`` to leave pings unanswered."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Answer = self.accept
        self.pongs = True
        self.generation = 0
        self.heartbeat_interval_s = 30.0
        self.trust = Trust.TRUSTED
        self.state_dir: Path | None = None
        self.port = 0
        self.http_token = ""
        self.public_urls: list[str] = []
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.sio: Any = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ------------------------------------------------------------ life

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, state_dir: Path) -> AsyncIterator[Self]:
        """One that serves, for the agent in this folder."""
        peer = cls()
        peer.state_dir = state_dir
        await peer.start()
        yield peer
        await peer.stop()

    async def start(self) -> "Peer":
        self.sio = socketio.AsyncServer(async_mode="aiohttp", ping_interval=25, ping_timeout=60)
        self.sio.on("connect", self._on_connect)
        self.sio.on("disconnect", self._on_disconnect)
        self.sio.on("*", self._on_event)
        application = web.Application()
        self.sio.attach(application)
        self.extend(application)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return self

    def extend(self, application: web.Application) -> None:
        """Add routes over HTTP."""

    async def stop(self) -> None:
        """As a killed process: sockets close, nobody says goodbye. The port stays ours for the next ``start``."""
        if self._runner is not None:
            for socket in list(self.sio.eio.sockets.values()):
                await socket.close(wait=False, abort=True)
            await self._runner.cleanup()
            await self.sio.shutdown()
            self._runner = None

    # ------------------------------------------------------------ what came

    async def _on_connect(self, sid: str, _environ: Any, _auth: Any) -> None:
        await self._record(Seen(sid, "connect"))

    async def _on_disconnect(self, sid: str, _reason: Any = None) -> None:
        await self._record(Seen(sid, "disconnect"))

    async def _on_event(self, event: str, sid: str, payload: Any = None) -> None:
        structs: dict[str, type[Message]] = {
            events.AGENT_REGISTER: AgentRegister,
            events.REGISTRATION_ACK: RegistrationAck,
            events.AGENT_LEAVING: AgentLeaving,
        }
        message = checks.decode(payload, structs[event]) if event in structs else payload
        if isinstance(message, AgentRegister):
            VerifyKey(bytes.fromhex(message.public_key)).verify(
                register_bytes(message, sid), bytes.fromhex(message.signature)
            )
        await self._record(Seen(sid, event, message, self._machine_id_file()))
        if isinstance(message, AgentRegister):
            await self.answer(sid, message)
        elif event == events.PING and self.pongs:
            await self.emit(sid, events.PONG, Pong(server_time="2026-11-24T05:00:00.000Z"))

    def _machine_id_file(self) -> dict[str, Any]:
        path = self.state_dir / "machine_id.json" if self.state_dir else None
        return json.loads(path.read_bytes()) if path and path.exists() else {}

    async def _record(self, seen: Seen) -> None:
        async with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()

    def all(self, event: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.event == event]

    def registrations(self) -> list[AgentRegister]:
        return [seen.payload for seen in self.all(events.AGENT_REGISTER)]

    async def until(self, event: str, count: int = 1) -> Seen:
        """The ``count``-th ``event`` from any agent, as soon as it is there."""
        async with asyncio.timeout(DEADLINE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.all(event)) >= count)
        return self.all(event)[count - 1]

    # ------------------------------------------------------------ answers

    async def emit(self, sid: str, event: str, message: Any) -> None:
        await self.sio.emit(event, message.to_json(), to=sid)

    async def accept(self, sid: str, message: AgentRegister) -> None:
        self.generation += 1
        await self.emit(
            sid,
            events.REGISTRATION_SUCCESS,
            RegistrationSuccess(
                agent_id=message.agent_id,
                trust=self.trust,
                generation=self.generation,
                heartbeat_interval_s=self.heartbeat_interval_s,
                server_time="2026-11-24T05:00:00.000Z",
                http_token=self.http_token,
                public_urls=self.public_urls,
            ),
        )

    def refuse(self, code: Code, retry_after_s: float | None = None, times: int | None = None) -> None:
        """Answer registrations with ``registration_failed``: always, or only the next ``times``."""
        left = times

        async def answer(sid: str, message: AgentRegister) -> None:
            nonlocal left
            if left == 0:
                return await self.accept(sid, message)
            left = None if left is None else left - 1
            failed = RegistrationFailed.because(message.agent_id, code, f"Refused: {code}.", retry_after_s)
            return await self.emit(sid, events.REGISTRATION_FAILED, failed)

        self.answer = answer

    async def end_session(self, sid: str, code: Code, retry_after_s: float | None = None) -> None:
        await self.emit(sid, events.SESSION_ENDED, SessionEnded.because(code, f"Ended: {code}.", retry_after_s))
        await self.sio.disconnect(sid)
