"""What agents say and hear: the gateway between their connections and the services.

Invariant: before its registration is committed a connection may send `agent_register` and nothing else, and for
`REGISTER_DEADLINE_S` at most. Who an agent is comes from its connection, never from a payload.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from app.clock import Clock, iso, utcnow
from app.complaints import Complaints
from app.realtime.admission import Admission
from app.realtime.answers import accepted, refusal
from app.realtime.link import source_ip
from app.realtime.links import AgentLinks
from app.realtime.notices import Notices
from app.realtime.presence import PresenceLoop
from app.realtime.probing import Probing
from app.realtime.registering import Registering
from app.realtime.sessions import AgentSession, Sessions
from app.realtime.tasks import TaskGateway
from app.settings import Settings
from app.web.metrics import Metrics
from deployx_protocol import events, limits
from deployx_protocol.checks import InvalidPayload, decode
from deployx_protocol.codes import Code
from deployx_protocol.messages import AgentLeaving, Ping, Pong, RegistrationAck

log = structlog.get_logger()

_NO_ROOM = ("busy", "The server has too much to save. Say it again in a moment.")


class AgentGateway:
    """The agents' side of the server: writes through ``presence``, hands what is about tasks to ``work``."""

    def __init__(
        self,
        server: AgentLinks,
        sessions: Sessions,
        notices: Notices,
        presence: PresenceLoop,
        work: TaskGateway,
        settings: Settings,
        metrics: Metrics,
        clock: Clock = utcnow,
        probing: Probing | None = None,
    ) -> None:
        self._server = server
        self._sessions = sessions
        self._notices = notices
        self._presence = presence
        self._work = work
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self.leaving = False
        """Whether new connections are refused, so that a balancer takes them elsewhere."""
        self._complaints = Complaints("event.refused")
        self._log = log.bind()  # made once; ``log`` is made anew for each line
        self._open = metrics.agent_connections.labels("open")
        self._admission = Admission("agent", settings.anonymous_max, limits.REGISTER_DEADLINE_S, notices.cut_soon)
        self._registering = Registering(
            server, sessions, self._admission, notices, presence, work, settings, metrics, clock, probing
        )
        self._dispatch = {
            events.PING: self._ping,
            events.REGISTRATION_ACK: self._acknowledged,
            events.AGENT_LEAVING: self._leaving,
            events.TASK_UPDATES: self._task_updates,
            events.TASK_OUTPUT: self._task_output,
        }

    # ------------------------------------------------------------ connections

    def opened(self, eio_sid: str, environ: Mapping[str, Any]) -> bool:
        """Admit a transport, unless its address has too many that have not registered, or this node is leaving."""
        return not self.leaving and self._admission.admit(eio_sid, source_ip(environ))

    async def connecting(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Everyone may connect; who they are is asked by `agent_register`."""
        session = AgentSession(
            sid=sid,
            eio_sid=self._server.transport_id(sid),
            source_ip=source_ip(environ),
            may_have_key=self._server.strict(sid),
        )
        self._sessions.add(session)
        self._open.inc()
        self._log.info(f"New agent connection: sid={sid}", source_ip=session.source_ip)

    async def connected(self, sid: str) -> None:
        """Nothing is sent before the agent has registered."""

    async def disconnected(self, sid: str, reason: str) -> None:
        """Take note; the row follows in the next batch."""
        session = self._sessions.by_sid.get(sid)
        if session is None:
            return
        claim_id = session.claim_id
        self._sessions.remove(session)
        self._work.disconnected(session)
        self._open.dec()
        cause, detail = session.departure(reason, self._settings.ping_timeout)
        log.info(
            f"Agent disconnected: {session.hostname or sid}",
            agent_id=session.agent_id,
            cause=cause.value,
            detail=detail,
            source_ip=session.source_ip,
        )
        if session.device_id and not session.handed_over:
            self._presence.depart(session, cause, detail)
        elif claim_id and not self._sessions.claim_connected(
            claim_id
        ):  # whoever is to answer the claim sees that nobody waits for it any more
            self._presence.release(claim_id)

    def closed(self, eio_sid: str) -> None:
        """Forget the transport."""
        self._admission.done(eio_sid)

    # ------------------------------------------------------------ events

    async def received(self, sid: str, name: str, args: list[Any]) -> dict[str, Any]:
        """Dispatch one event; the answer is its acknowledgement."""
        session = self._sessions.by_sid.get(sid)
        if session is None or session.closed:
            return refusal("not_connected", "This connection is closed.")
        payload = args[0] if args else {}
        try:
            if name == events.AGENT_REGISTER:
                return await self._registering.register(session, payload)
            if session.anonymous:
                return refusal("not_registered", "Send agent_register first.")
            return await self._dispatch[name](session, payload)
        except InvalidPayload as error:
            self._complaints.note(session.source_ip, f"{name}: {error}")
            return refusal(Code.INVALID_PAYLOAD, str(error))
        except Exception:
            log.exception("event.failed", event_name=name, source_ip=session.source_ip)
            return refusal("internal", "The server failed to handle this event; it was logged.")

    def beat(self, sid: str) -> Pong | None:
        """Answer a plain heartbeat of a device; None if it is to be taken as any other event."""
        session = self._sessions.by_sid.get(sid)
        return self._beat(session) if session and session.device_id and not session.closed else None

    async def _ping(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        decode(payload if payload is not None else {}, Ping)
        pong = self._beat(session)
        await self._notices.emit(session, events.PONG, pong)
        return accepted(pong)

    def _beat(self, session: AgentSession) -> Pong:
        now = self._clock()
        self._metrics.heartbeats.inc()
        if session.device_id:
            self._presence.heartbeat(session, now)
        return Pong(server_time=iso(now))

    async def _acknowledged(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        generation = decode(payload, RegistrationAck).generation
        if session.device_id and session.public_key:
            self._presence.confirm(session, generation)
        return accepted()

    async def _leaving(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        session.leaving = decode(payload if payload is not None else {}, AgentLeaving).reason
        return accepted()

    async def _task_updates(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        return accepted() if await self._work.updates(session, payload) else refusal(*_NO_ROOM)

    async def _task_output(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        return accepted() if await self._work.output(session, payload) else refusal(*_NO_ROOM)
