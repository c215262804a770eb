"""What the server tells agents unasked: register again, your session is over, goodbye.

Invariant: nothing is sent on a connection that is closed, and a session is ended with a reason before it is cut.
"""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from typing import Any

from app.hints import Hint, HintKind
from app.realtime.links import AgentLinks
from app.realtime.sessions import AgentSession, Sessions
from deployx_protocol import events
from deployx_protocol.codes import Code
from deployx_protocol.messages import Message, RegistrationRequired, SessionEnded

SHUTDOWN_RETRY_S = 2.0
HAND_OVER_RETRY_S = 0.5
HAND_OVER_PER_S = 100.0


class Notices:
    """Speaks to the agents in ``sessions``."""

    def __init__(self, server: AgentLinks, sessions: Sessions) -> None:
        self._server = server
        self._sessions = sessions
        self._tasks: set[asyncio.Task[None]] = set()

    async def emit(self, session: AgentSession, event: str, message: Message) -> None:
        """Send ``message``, unless the connection is closed."""
        if not session.closed:
            await self._server.tell(session.sid, event, message)

    async def end(self, session: AgentSession, code: Code, message: str, retry_after_s: float | None = None) -> None:
        """Say why, and cut the connection. The first reason counts."""
        session.ended = session.ended or code
        await self.emit(session, events.SESSION_ENDED, SessionEnded.because(code, message, retry_after_s))
        await self._server.cut(session.sid)

    def end_soon(self, session: AgentSession, code: Code, message: str) -> None:
        """End a session from where nothing can be awaited."""
        self.start(self.end(session, code, message))

    def cut_soon(self, eio_sid: str) -> None:
        """Cut a transport from where nothing can be awaited."""
        self.start(self._server.cut_transport(eio_sid))

    def register_again(self, session: AgentSession) -> None:
        """Its row no longer knows this session, or what it was told has changed: have it registered anew."""
        self.start(self._register_again(session))

    def hinted(self, hints: Sequence[Hint]) -> None:
        """After a commit: tell agents whose device was accepted, answered, taken away."""
        for hint in hints:
            session = self._sessions.by_device.get(hint.device_id)
            match hint.kind:
                case HintKind.REGISTER_AGAIN if session:
                    self.register_again(session)
                case HintKind.CLAIM_ANSWERED:
                    for waiting in [*self._sessions.held_for(hint.device_id), *([session] if session else [])]:
                        self.register_again(waiting)
                case HintKind.DEVICE_REMOVED:
                    for waiting in self._sessions.held_for(hint.device_id):
                        self.register_again(waiting)
                    if session:
                        self.end_soon(session, Code.REMOVED, "This device was removed from the server.")

    async def goodbye(self) -> None:
        """The server stops: say so to every agent, and close."""
        text = "The server is stopping. Connect again in a moment."
        sessions = list(self._sessions.by_sid.values())
        if sessions:
            await asyncio.wait(
                [asyncio.create_task(self.end(s, Code.SERVER_SHUTDOWN, text, SHUTDOWN_RETRY_S)) for s in sessions]
            )

    async def hand_over(self, within_s: float, rate: float = HAND_OVER_PER_S) -> None:
        """Other servers go on: send the agents there, one after the other, so that they are not all there at once."""
        sessions = list(self._sessions.by_sid.values())
        text = "This server is stopping, others go on. Connect again: you will reach one of them."
        begun, loop = asyncio.get_running_loop().time(), asyncio.get_running_loop()
        spread_s = min(within_s, len(sessions) / rate)
        for number, session in enumerate(sessions):
            await asyncio.sleep(max(0.0, begun + spread_s * number / len(sessions) - loop.time()))
            if not session.closed:
                session.handed_over = True
                self.start(self.end(session, Code.SERVER_SHUTDOWN, text, HAND_OVER_RETRY_S))

    def part(self) -> None:
        """This node was taken for dead: whoever is still connected finds out where its device is now."""
        text = "This server was cut off from the others for too long. Connect again."
        for session in list(self._sessions.by_device.values()):
            retry_s = random.uniform(0.5, 3.0)  # noqa: S311 - not a secret
            self.start(self.end(session, Code.SERVER_UNAVAILABLE, text, retry_s))

    def superseded(self, session: AgentSession) -> None:
        """Another node has the device now."""
        self._sessions.unbind(session)
        self.end_soon(session, Code.SUPERSEDED, "A newer connection of this device took over.")

    async def _register_again(self, session: AgentSession) -> None:
        reason = "The device changed on the server."
        if session.public_key:
            await self.emit(session, events.REGISTRATION_REQUIRED, RegistrationRequired(reason=reason))
        else:  # a client that knows only the specification's events registers when it connects
            await self.end(session, Code.SERVER_BUSY, reason, retry_after_s=1.0)

    def start(self, step: Coroutine[Any, Any, None]) -> None:
        """Do what an event's handler must not wait for: while it does, its connection is not read."""
        task = asyncio.get_running_loop().create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
