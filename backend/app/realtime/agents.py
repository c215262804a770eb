"""What agents say and hear: the gateway between their connections and the services.

Invariant: before its registration is committed a connection may send `agent_register` and nothing else, and for
`REGISTER_DEADLINE_S` at most. Who an agent is comes from its connection, never from a payload.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import structlog

from app.clock import Clock, iso, utcnow
from app.devices.outcomes import Contested, Held, Outcome, Refused, Registered, Registration, Split
from app.hints import Hint, HintKind, Publish
from app.realtime import credentials
from app.realtime.link import LinkServer, source_ip
from app.realtime.presence import PresenceLoop
from app.realtime.sessions import AgentSession, Sessions
from app.realtime.tasks import TaskGateway
from app.settings import Settings
from app.web.metrics import Metrics
from deployx_protocol import events, limits
from deployx_protocol.checks import InvalidPayload, decode
from deployx_protocol.codes import REFUSALS, Code
from deployx_protocol.messages import (
    AgentLeaving,
    AgentRegister,
    IdentitySplit,
    Message,
    Ping,
    Pong,
    RegistrationAck,
    RegistrationFailed,
    RegistrationRequired,
    RegistrationSuccess,
    SessionEnded,
)
from deployx_protocol.states import StatusCause

log = structlog.get_logger()

PROBE_S = 3.0
REGISTRATIONS_MAX = 20
"""How often one connection may fail to register, by its own fault, before it is cut."""
SHUTDOWN_RETRY_S = 2.0
_NO_ROOM = ("busy", "The server has too much to save. Say it again in a moment.")


class AgentGateway:
    """The agents' side of the server. Made before the parts that it hands things to, and given them by ``use``."""

    def __init__(
        self,
        server: LinkServer,
        sessions: Sessions,
        settings: Settings,
        metrics: Metrics,
        publish: Publish,
        clock: Clock = utcnow,
    ) -> None:
        self._metrics = metrics
        self._publish = publish
        self._server = server
        self._sessions = sessions
        self._settings = settings
        self._clock = clock
        self._presence: PresenceLoop
        self._work: TaskGateway
        self._anonymous: Counter[str] = Counter()
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._addresses: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._dispatch = {
            events.PING: self._ping,
            events.REGISTRATION_ACK: self._acknowledged,
            events.AGENT_LEAVING: self._leaving,
            events.TASK_UPDATES: self._task_updates,
            events.TASK_OUTPUT: self._task_output,
        }
        server.serve(self)

    def use(self, presence: PresenceLoop, work: TaskGateway) -> None:
        """Write through ``presence``; hand what is about tasks to ``work``."""
        self._presence, self._work = presence, work

    # ------------------------------------------------------------ connections

    async def opened(self, eio_sid: str, environ: Mapping[str, Any]) -> bool:
        """Admit a transport, unless its address has too many that have not registered."""
        address = source_ip(environ)
        if self._anonymous[address] >= self._settings.anonymous_max:
            return False
        self._anonymous[address] += 1
        self._addresses[eio_sid] = address
        self._set_deadline(eio_sid)
        return True

    async def connecting(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Everyone may connect; who they are is asked by `agent_register`."""
        eio_sid = self._server.manager.eio_sid_from_sid(sid, "/")
        session = AgentSession(sid=sid, eio_sid=eio_sid, source_ip=source_ip(environ))
        self._sessions.add(session)
        self._metrics.agent_connections.labels("open").inc()
        log.info(f"New agent connection: sid={sid}", source_ip=session.source_ip)

    async def connected(self, sid: str) -> None:
        """Nothing is sent before the agent has registered."""

    async def disconnected(self, sid: str, reason: str) -> None:
        """Take note; the row follows in the next batch."""
        session = self._sessions.by_sid.get(sid)
        if session is None:
            return
        claimed_device_id = session.claimed_device_id
        self._sessions.remove(session)
        self._work.disconnected(session)
        self._metrics.agent_connections.labels("open").dec()
        cause, detail = self._why(session, reason)
        log.info(
            f"Agent disconnected: {session.hostname or sid}",
            agent_id=session.agent_id,
            cause=cause.value,
            detail=detail,
            source_ip=session.source_ip,
        )
        if session.device_id:
            self._presence.depart(session, cause, detail)
        elif claimed_device_id:  # whoever is to answer the claim sees that nobody waits for it any more
            self._publish([Hint(HintKind.CLAIMS, claimed_device_id)])

    async def closed(self, eio_sid: str) -> None:
        """Forget the transport."""
        self._no_longer_anonymous(eio_sid)
        self._addresses.pop(eio_sid, None)

    def _why(self, session: AgentSession, reason: str) -> tuple[StatusCause, str]:
        if session.leaving is not None:
            return StatusCause.AGENT_LEAVING, f"the agent stopped: {session.leaving}" if session.leaving else ""
        if session.ended is Code.SUPERSEDED:
            return StatusCause.SUPERSEDED, ""
        if session.ended is Code.SERVER_SHUTDOWN:
            return StatusCause.SERVER_SHUTDOWN, ""
        if session.ended is not None:
            return StatusCause.CUT_OFF, ""
        if reason == self._server.reason.PING_TIMEOUT:
            return StatusCause.PING_TIMEOUT, f"no pong for {self._settings.ping_timeout:g} s"
        return StatusCause.CONNECTION_CLOSED, ""

    def _set_deadline(self, eio_sid: str) -> None:
        loop = asyncio.get_running_loop()
        previous = self._deadlines.pop(eio_sid, None)
        if previous:
            previous.cancel()
        self._deadlines[eio_sid] = loop.call_later(limits.REGISTER_DEADLINE_S, self._deadline_passed, eio_sid)

    def _deadline_passed(self, eio_sid: str) -> None:
        log.info("agent.not_registered_in_time", source_ip=self._addresses.get(eio_sid))
        self._start(self._server.cut_transport(eio_sid))

    def _no_longer_anonymous(self, eio_sid: str) -> None:
        deadline = self._deadlines.pop(eio_sid, None)
        if deadline is None:
            return
        deadline.cancel()
        address = self._addresses.get(eio_sid, "")
        self._anonymous[address] -= 1
        if self._anonymous[address] <= 0:
            del self._anonymous[address]

    def _anonymous_again(self, session: AgentSession) -> None:
        if session.eio_sid in self._addresses and session.eio_sid not in self._deadlines:
            self._anonymous[self._addresses[session.eio_sid]] += 1
        self._set_deadline(session.eio_sid)

    # ------------------------------------------------------------ events

    async def received(self, sid: str, name: str, args: list[Any]) -> dict[str, Any]:
        """Dispatch one event; the answer is its acknowledgement."""
        session = self._sessions.by_sid.get(sid)
        if session is None or session.closed:
            return _refusal("not_connected", "This connection is closed.")
        payload = args[0] if args else {}
        try:
            if name == events.AGENT_REGISTER:
                return await self._register(session, payload)
            if session.anonymous:
                return _refusal("not_registered", "Send agent_register first.")
            return await self._dispatch[name](session, payload)
        except InvalidPayload as error:
            log.warning("event.refused", event_name=name, why=str(error), source_ip=session.source_ip)
            return _refusal(Code.INVALID_PAYLOAD, str(error))
        except Exception:
            log.exception("event.failed", event_name=name, source_ip=session.source_ip)
            return _refusal("internal", "The server failed to handle this event; it was logged.")

    async def _ping(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        decode(payload if payload is not None else {}, Ping)
        self._metrics.heartbeats.inc()
        if session.device_id:
            self._presence.heartbeat(session)
        pong = Pong(server_time=iso(self._clock()))
        await self._emit(session, events.PONG, pong)
        return _accepted(pong)

    async def _acknowledged(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        generation = decode(payload, RegistrationAck).generation
        if session.device_id and session.public_key:
            self._presence.confirm(session, generation)
        return _accepted()

    async def _leaving(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        session.leaving = decode(payload if payload is not None else {}, AgentLeaving).reason
        return _accepted()

    async def _task_updates(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        return _accepted() if await self._work.updates(session, payload) else _refusal(*_NO_ROOM)

    async def _task_output(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        return _accepted() if await self._work.output(session, payload) else _refusal(*_NO_ROOM)

    # ------------------------------------------------------------ registration

    async def _register(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        session.attempts += 1
        if session.attempts > REGISTRATIONS_MAX and session.anonymous:
            await self._end(session, Code.SERVER_BUSY, "Too many attempts on one connection.", retry_after_s=60)
            return _refusal(Code.SERVER_BUSY, "Too many attempts on one connection.")
        agent_id = _claimed_id(payload)
        try:
            message = decode(payload, AgentRegister)
        except InvalidPayload as error:
            return await self._failed(session, agent_id, Refused(Code.INVALID_PAYLOAD, str(error)))
        refusal = credentials.check(message, session.sid, self._settings.allowed_origins())
        if refusal:
            return await self._failed(session, agent_id, refusal)
        return await self._answer(session, message, await self._outcome(session, message))

    async def _outcome(self, session: AgentSession, message: AgentRegister) -> Outcome:
        registration = Registration(
            message=message,
            source_ip=session.source_ip,
            live_boot=lambda device_id: self._sessions.live_boot(device_id, session, message.public_key),
            claim_connected=lambda claim_id: self._sessions.claim_connected(claim_id, session),
        )

        def committed(outcome: Outcome) -> None:
            self._bind(session, message, outcome)

        outcome = await self._presence.register(registration, committed)
        while isinstance(outcome, Contested):
            alive = await self._rival_is_alive(outcome.device_id)
            outcome = await self._presence.register(replace(registration, rival_is_alive=alive), committed)
        return outcome

    async def _rival_is_alive(self, device_id: int) -> bool:
        rival = self._sessions.by_device.get(device_id)
        socket = self._server.socket(rival.sid) if rival else None
        if rival is None or (socket and await socket.probe(PROBE_S)):
            return rival is not None
        self._sessions.unbind(rival)
        self._presence.depart(rival, StatusCause.SUPERSEDED)
        await self._end(rival, Code.SUPERSEDED, "This connection did not answer while another one registered.")
        return False

    def _bind(self, session: AgentSession, message: AgentRegister, outcome: Outcome) -> None:
        """Map agent to connection, in the same step in which the commit became known."""
        if not isinstance(outcome, Registered | Held | Split):
            return
        if session.device_id and (not isinstance(outcome, Registered) or outcome.device_id != session.device_id):
            self._step_down(session)
        if isinstance(outcome, Split):
            self._sessions.unbind(session)
            return
        session.agent_id, session.hostname = outcome.agent_id, message.hostname
        session.boot_id, session.public_key = message.boot_id, message.public_key
        if isinstance(outcome, Held):
            if not session.closed:
                self._sessions.hold(session, outcome.claim_id, outcome.device_id)
            return
        if session.closed:  # it went while its registration was being saved
            session.device_id, session.epoch = outcome.device_id, outcome.epoch
            self._presence.depart(session, *self._why(session, self._server.reason.TRANSPORT_CLOSE))
            return
        previous = self._sessions.bind(session, outcome.device_id, outcome.epoch)
        if previous:
            text = "A newer connection of this device took over."
            self._start(self._end(previous, Code.SUPERSEDED, text))

    def _step_down(self, session: AgentSession) -> None:
        """The connection stays, but it does not speak for its device any more."""
        self._sessions.unbind(session)
        self._presence.depart(session, StatusCause.CUT_OFF, "the agent became another device")
        session.device_id = session.epoch = 0

    async def _answer(self, session: AgentSession, message: AgentRegister, outcome: Outcome) -> dict[str, Any]:
        self._metrics.registrations.labels(type(outcome).__name__.lower()).inc()
        match outcome:
            case Refused():
                answer = await self._failed(session, message.agent_id, outcome)
                if outcome.code is Code.REJECTED and not session.anonymous:  # it spoke with this key until now
                    await self._end(session, outcome.code, outcome.message)
                return answer
            case Split(token=token):
                text = "This machine is a copy of another one. It becomes a device of its own."
                await self._emit(session, events.IDENTITY_SPLIT, IdentitySplit(enrollment_token=token, message=text))
                self._anonymous_again(session)
                return _accepted()
            case Registered() | Held():
                self._no_longer_anonymous(session.eio_sid)
                success = RegistrationSuccess(
                    agent_id=outcome.agent_id,
                    trust=outcome.trust,
                    generation=outcome.generation,
                    heartbeat_interval_s=self._settings.heartbeat_interval_s,
                    server_time=iso(self._clock()),
                    http_token=outcome.http_token if isinstance(outcome, Registered) else "",
                )
                await self._emit(session, events.REGISTRATION_SUCCESS, success)
                self._log_registered(session, outcome)
                if isinstance(outcome, Registered):
                    self._work.registered(session)
                return _accepted(success)
            case Contested():
                raise AssertionError("a contest is settled before it is answered")

    def _log_registered(self, session: AgentSession, outcome: Registered | Held) -> None:
        log.info(
            f"Agent registered: {session.hostname}",
            agent_id=outcome.agent_id,
            trust=outcome.trust.value,
            sid=session.sid,
            source_ip=session.source_ip,
        )
        if isinstance(outcome, Registered):
            if outcome.came_online:
                self._metrics.came_online()
            log.info("Device status updated: online", agent_id=outcome.agent_id, source_ip=session.source_ip)

    async def _failed(self, session: AgentSession, agent_id: str, refused: Refused) -> dict[str, Any]:
        failure = RegistrationFailed.because(agent_id, refused.code, refused.message, refused.retry_after_s)
        log.warning(
            "Registration failed",
            agent_id=agent_id,
            code=refused.code.value,
            why=refused.message,
            source_ip=session.source_ip,
        )
        await self._emit(session, events.REGISTRATION_FAILED, failure)
        if REFUSALS[refused.code].retryable:  # not the agent's fault: it may wait here until the server can
            session.attempts -= 1
            self._set_deadline_anew(session)
        return _refusal(refused.code, refused.message)

    def _set_deadline_anew(self, session: AgentSession) -> None:
        if session.anonymous and session.eio_sid in self._deadlines:
            self._set_deadline(session.eio_sid)

    # ------------------------------------------------------------ what the server says unasked

    def hinted(self, hints: Sequence[Hint]) -> None:
        """After a commit: tell agents whose device was accepted, answered, taken away."""
        for hint in hints:
            session = self._sessions.by_device.get(hint.device_id)
            match hint.kind:
                case HintKind.REGISTER_AGAIN if session:
                    self._start(self._register_again(session))
                case HintKind.CLAIM_ANSWERED:
                    for waiting in [*self._sessions.held_for(hint.device_id), *([session] if session else [])]:
                        self._start(self._register_again(waiting))
                case HintKind.DEVICE_REMOVED:
                    for waiting in self._sessions.held_for(hint.device_id):
                        self._start(self._register_again(waiting))
                    if session:
                        self._start(self._end(session, Code.REMOVED, "This device was removed from the server."))

    def register_again(self, session: AgentSession) -> None:
        """Its row no longer knows this session: have it registered anew."""
        self._start(self._register_again(session))

    async def _register_again(self, session: AgentSession) -> None:
        reason = "The device changed on the server."
        if session.public_key:
            await self._emit(session, events.REGISTRATION_REQUIRED, RegistrationRequired(reason=reason))
        else:  # a client that knows only the specification's events registers when it connects
            await self._end(session, Code.SERVER_BUSY, reason, retry_after_s=1.0)

    async def goodbye(self) -> None:
        """The server stops: say so to every agent, and close."""
        text = "The server is stopping. Connect again in a moment."
        sessions = list(self._sessions.by_sid.values())
        if sessions:
            await asyncio.wait(
                [asyncio.create_task(self._end(s, Code.SERVER_SHUTDOWN, text, SHUTDOWN_RETRY_S)) for s in sessions]
            )

    async def _end(self, session: AgentSession, code: Code, message: str, retry_after_s: float | None = None) -> None:
        session.ended = session.ended or code
        await self._emit(session, events.SESSION_ENDED, SessionEnded.because(code, message, retry_after_s))
        await self._server.cut(session.sid)

    async def _emit(self, session: AgentSession, event: str, message: Message) -> None:
        if not session.closed:
            await self._server.emit(event, message.to_json(), to=session.sid)

    def _start(self, step: Any) -> None:
        task = asyncio.get_running_loop().create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _claimed_id(payload: Any) -> str:
    """What to call someone whose payload was not checked yet; never more than a short, plain text."""
    claimed = payload.get("agent_id") if isinstance(payload, dict) else None
    return claimed[: limits.AGENT_ID_MAX] if isinstance(claimed, str) and claimed.isprintable() else ""


def _accepted(data: Message | None = None) -> dict[str, Any]:
    return {"ok": True, "data": msgspec.to_builtins(data) if data else {}}


def _refusal(code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": {"code": str(code), "message": message}}
