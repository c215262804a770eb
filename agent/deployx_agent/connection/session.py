"""One connection, from ``connect`` to its end: register, confirm, listen, keep alive.

A single task takes what arrives from one inbox: events, the end of the connection, a wish to stop. Nothing here runs
beside anything else, so there is no order of events that the table in ``machine`` does not see. Invariants: the
generation is on disk before ``registration_ack`` leaves; one registration is unanswered at a time, since two would
present the same generation, and the server would take the second for that of a copy.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Any

from deployx_agent.connection import endings
from deployx_agent.connection.endings import Ending
from deployx_agent.connection.heartbeat import Heartbeat
from deployx_agent.connection.machine import Event, State
from deployx_agent.connection.progress import Progress
from deployx_agent.connection.registration import Registrar
from deployx_agent.connection.retry import Why
from deployx_agent.connection.transport import Closed, Received, SendError, Transport
from deployx_agent.logs import Log
from deployx_agent.state.status import now_iso
from deployx_agent.tasks.engine import EVENTS, Engine
from deployx_agent.tasks.outbox import Connection
from deployx_protocol import checks, events
from deployx_protocol.messages import (
    AgentLeaving,
    IdentitySplit,
    RegistrationAck,
    RegistrationRequired,
    RegistrationSuccess,
)

INBOX_MAX = 1_000
HEARTBEAT_INTERVAL_MIN_S = 0.1
"""A server that says less is not obeyed to the letter."""
_FLUSH_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave, and tell the server why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pace:
    """The session's time limits. None: from the server, or from the heartbeat's interval."""

    register_timeout_s: float
    heartbeat_interval_s: float | None
    pong_timeout_s: float | None


class _Over(Exception):
    """Unwinds the session to its end."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class Session:
    """The events of one connection. ``on_registered`` is called after each registration; what concerns tasks goes to
    ``engine``, as long as the registration holds."""

    def __init__(
        self,
        registrar: Registrar,
        engine: Engine,
        progress: Progress,
        pace: Pace,
        log: Log,
        on_registered: Callable[[], None],
    ) -> None:
        self._registrar = registrar
        self._engine = engine
        self._progress = progress
        self._pace = pace
        self._log = log
        self._on_registered = on_registered
        self._inbox: asyncio.Queue[Received | Closed | Stop] = asyncio.Queue()
        self._transport: Transport
        self._heartbeat: Heartbeat | None = None
        self._answer_due: float | None = None
        """When the registration that is not answered yet has to be."""
        self._again = False
        """Whether the server has asked for another one meanwhile."""
        self._presented = ""
        self._handlers = {
            events.REGISTRATION_SUCCESS: self._on_success,
            events.REGISTRATION_FAILED: self._on_failed,
            events.REGISTRATION_REQUIRED: self._on_required,
            events.IDENTITY_SPLIT: self._on_split,
            events.SESSION_ENDED: self._on_ended,
            events.PONG: self._on_pong,
        }

    def deliver(self, item: Received | Closed | Stop) -> None:
        """Put something into the inbox. A server that sends faster than it is read is cut off.

        What concerns tasks goes on at once, if nothing waits before it: the session has nothing to say to it."""
        if isinstance(item, Received) and item.event in EVENTS and self._heartbeat and self._inbox.empty():
            self._engine.deliver(item.event, item.payload)
            return
        if isinstance(item, Received) and self._inbox.qsize() >= INBOX_MAX:
            item = Closed("the server sends faster than the agent can read")
        self._inbox.put_nowait(item)

    async def run(self, transport: Transport) -> Ending:
        """Everything after ``connect``. The connection is still open when this returns, unless it ended by itself."""
        self._transport = transport
        try:
            await self._register()
            while True:
                await self._step()
        except _Over as over:
            return over.ending
        except SendError as error:
            return Ending(Event.DISCONNECTED, str(error), Why.LOST)
        finally:
            self._heartbeat = None
            self._engine.disconnected()

    async def _step(self) -> None:
        item = await self._next()
        match item:
            case Received(event, payload):
                await self._dispatch(event, payload)
            case Closed(reason):
                raise _Over(Ending(Event.DISCONNECTED, reason, Why.LOST))
            case Stop(reason):
                await self._leave(reason)
            case None:
                await self._on_time()

    async def _next(self) -> Received | Closed | Stop | None:
        """What comes next, or None when something is due before anything comes."""
        deadlines = [self._answer_due, self._heartbeat.deadline if self._heartbeat else None]
        due = min((deadline for deadline in deadlines if deadline is not None), default=None)
        try:
            async with asyncio.timeout(None if due is None else max(due - time.monotonic(), 0)):
                return await self._inbox.get()
        except TimeoutError:
            return None

    async def _dispatch(self, event: str, payload: Any) -> None:
        if event in EVENTS and self._heartbeat:
            self._engine.deliver(event, payload)
            return
        handler = self._handlers.get(event)
        if handler is None:
            self._log.debug("Event ignored: this version does not know it", event=event)
            return
        try:
            await handler(payload)
        except checks.InvalidPayload as error:
            self._log.warning("The server sent something that the protocol does not allow", event=event, error=error)
            raise _Over(Ending(Event.SOCKET_ERROR, f"unusable {event}: {error}", Why.LOST)) from None

    # ------------------------------------------------------------ registration

    async def _register(self) -> None:
        self._again = False
        message = self._registrar.message(self._transport.nonce, self._transport.local_address)
        self._presented = message.enrollment_token
        self._heartbeat = None
        self._engine.disconnected()
        self._log.info(
            f"Registering agent: {message.hostname}",
            agent_id=message.agent_id,
            machine_id=message.machine_id,
            ip_address=message.ip_address,
            generation=message.generation,
            token="presented" if message.enrollment_token else None,
        )
        await self._transport.send(events.AGENT_REGISTER, message.to_json())
        self._progress.advance(
            Event.REGISTER_SENT if self._progress.state is State.CONNECTED else Event.REGISTER_AGAIN,
            agent_id=message.agent_id,
        )
        self._answer_due = time.monotonic() + self._pace.register_timeout_s

    async def _on_success(self, payload: Any) -> None:
        success = checks.decode(payload, RegistrationSuccess)
        if not self._progress.allows(Event.REGISTERED):
            self._log.warning("The server confirmed a registration that nobody waits for", state=self._progress.state)
            return
        self._answer_due = None
        stored = self._store(success.generation)
        self._progress.advance(Event.REGISTERED, agent_id=success.agent_id, trust=success.trust, detail="")
        self._on_registered()
        self._log.info(
            "Registration successful",
            agent_id=success.agent_id,
            trust=success.trust,
            generation=success.generation,
            status="registered",
        )
        if stored:
            await self._transport.send(
                events.REGISTRATION_ACK, RegistrationAck(generation=success.generation).to_json()
            )
        if self._again:
            await self._register()
            return
        interval_s = self._pace.heartbeat_interval_s or max(success.heartbeat_interval_s, HEARTBEAT_INTERVAL_MIN_S)
        self._heartbeat = Heartbeat(interval_s, self._pace.pong_timeout_s, time.monotonic(), random)
        self._progress.advance(Event.LISTENING)
        self._engine.connected(Connection(self._transport, success.agent_id, success.http_token, success.public_urls))
        self._log.info("Agent ready - Listening for commands", heartbeat_interval_s=interval_s)

    def _store(self, generation: int) -> bool:
        """Make the registration durable; whether it is. Without that it is not confirmed, and the old one counts."""
        try:
            self._registrar.identity.store_generation(generation)
            self._registrar.enrollment.spent(self._presented)
        except OSError as error:
            self._log.error("The registration cannot be stored; make room for it", error=error.strerror or error)
            return False
        return True

    async def _on_failed(self, payload: Any) -> None:
        ending = endings.refused(payload, registered=False)
        if not self._progress.allows(ending.event):
            self._log.warning("The server refused a registration that nobody waits for", code=ending.code)
            return
        write = self._log.error if ending.retry is None else self._log.warning
        write("Registration failed", code=ending.code, message=ending.reason, retry_after_s=ending.retry_after_s)
        raise _Over(ending)

    async def _on_required(self, payload: Any) -> None:
        required = checks.decode(payload, RegistrationRequired)
        self._log.info("The server asks to register again", reason=required.reason)
        if self._answer_due is None:
            await self._register()
        else:
            self._again = True

    async def _on_split(self, payload: Any) -> None:
        split = checks.decode(payload, IdentitySplit)
        self._log.warning("This machine is a copy of another and becomes a device of its own", message=split.message)
        try:
            # The token first: should we end in between, the new identity can still present it.
            self._registrar.enrollment.replace(split.enrollment_token)
            self._registrar.identity.split()
        except ValueError as error:
            raise checks.InvalidPayload(str(error)) from None
        except OSError as error:
            reason = f"the new identity cannot be stored: {error.strerror or error}"
            self._log.error("The identity was not split; make room for it", error=error.strerror or error)
            raise _Over(Ending(Event.SOCKET_ERROR, reason, Why.LOST)) from None
        await self._register()

    # ------------------------------------------------------------ the end

    async def _on_ended(self, payload: Any) -> None:
        ending = endings.refused(payload, registered=self._heartbeat is not None)
        write = self._log.error if ending.retry is None else self._log.warning
        write("The server ended the session", code=ending.code, message=ending.reason)
        raise _Over(ending)

    async def _leave(self, reason: str) -> None:
        if self._progress.state is not State.CONNECTED:  # a server that does not know us yet passes it over
            await self._transport.send(events.AGENT_LEAVING, AgentLeaving(reason=reason).to_json())
            await self._transport.flush(_FLUSH_TIMEOUT_S)
        raise _Over(endings.stopped())

    # ------------------------------------------------------------ keeping alive

    async def _on_pong(self, _payload: Any) -> None:
        if self._heartbeat:
            self._heartbeat.answered()
            self._log.debug("Pong received")
            self._progress.note(last_pong=now_iso())

    async def _on_time(self) -> None:
        now = time.monotonic()
        if self._answer_due is not None and now >= self._answer_due:
            raise _Over(Ending(Event.TIMED_OUT, "the server did not answer agent_register in time", Why.TIMEOUT))
        if self._heartbeat is None:
            return
        if self._heartbeat.overdue(now):
            reason = f"no pong within {self._heartbeat.pong_timeout_s:g} s"
            raise _Over(Ending(Event.SOCKET_ERROR, reason, Why.LOST))
        if self._heartbeat.due(now) and self._registrar.policy_changed():
            self._log.info("The policy of this machine has changed; the server is told")
            await self._register()
            return
        if self._heartbeat.due(now):
            await self._transport.send(events.PING, {})
            self._heartbeat.sent(now)
            self._log.debug("Ping sent")
