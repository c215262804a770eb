"""The conversation that makes a connection a device's: `agent_register`, what comes of it, and what is answered.

Invariant: a connection is mapped to its device in the very step in which the commit became known, so that nothing else
is written about the device in between. Who contests a device must be there when it is answered: what was said on a
connection that has died since does not count against the one that took its place.
"""

from functools import partial
from typing import Any

import structlog
from msgspec.structs import replace

from app.clock import Clock, iso, utcnow
from app.complaints import Complaints
from app.devices.outcomes import Contested, Held, Outcome, Refused, Registered, Registration, Split
from app.errors import Unavailable
from app.realtime import credentials
from app.realtime.admission import Admission
from app.realtime.answers import accepted, refusal
from app.realtime.links import AgentLinks
from app.realtime.notices import Notices
from app.realtime.presence import PresenceLoop
from app.realtime.probing import Probing
from app.realtime.reasons import Reason
from app.realtime.sessions import AgentSession, Sessions
from app.realtime.tasks import TaskGateway
from app.settings import Settings
from app.web.metrics import Metrics
from deployx_protocol import events, limits
from deployx_protocol.checks import InvalidPayload, decode
from deployx_protocol.codes import REFUSALS, Code
from deployx_protocol.messages import AgentRegister, IdentitySplit, RegistrationFailed, RegistrationSuccess
from deployx_protocol.states import StatusCause

log = structlog.get_logger()

PROBE_S = 3.0
REGISTRATIONS_MAX = 20
"""How often one connection may fail to register, by its own fault, before it is cut."""
FAILURES_LOGGED = 20
"""Of one address in a minute: behind it there may be a whole site whose agents all fail, each for its own reason."""


class Registering:
    """Registers connections of ``sessions``, which ``admission`` counts until they are somebody's."""

    def __init__(
        self,
        server: AgentLinks,
        sessions: Sessions,
        admission: Admission,
        notices: Notices,
        presence: PresenceLoop,
        work: TaskGateway,
        settings: Settings,
        metrics: Metrics,
        clock: Clock = utcnow,
        probing: Probing | None = None,
    ) -> None:
        self._probing = probing
        self._server = server
        self._sessions = sessions
        self._admission = admission
        self._notices = notices
        self._presence = presence
        self._work = work
        self._settings = settings
        self._origins = frozenset(settings.allowed_origins())
        self._metrics = metrics
        self._clock = clock
        self._log = log.bind()  # made once; ``log`` is made anew for each line
        self._failures = Complaints("Registration failed", per_window=FAILURES_LOGGED)

    async def register(self, session: AgentSession, payload: Any) -> dict[str, Any]:
        """Take `agent_register`; the acknowledgement. Whatever comes of it is sent as an event: before that, but for a
        contest, which takes as long as both sides need to show that they are there."""
        if session.contending:
            return refusal("registering", "The registration before this one is not answered yet.")
        session.attempts += 1
        if session.attempts > REGISTRATIONS_MAX and session.anonymous:
            text = "Too many attempts on one connection."
            await self._notices.end(session, Code.SERVER_BUSY, text, retry_after_s=60)
            return refusal(Code.SERVER_BUSY, text)
        agent_id = _claimed_id(payload)
        try:
            message = decode(payload, AgentRegister)
        except InvalidPayload as error:
            return await self._failed(session, agent_id, Refused(Code.INVALID_PAYLOAD, str(error)))
        refused = credentials.check(message, session.sid, self._origins)
        if message.public_key and not session.may_have_key:
            refused = Refused(Code.PROTOCOL_UNSUPPORTED, "A device with a key connects by websocket from the start.")
        if refused:
            return await self._failed(session, agent_id, refused)
        registration = self._registration(session, message)
        outcome = await self._presence.register(registration, partial(self._bind, session, message))
        if isinstance(outcome, Contested):
            session.contending = True
            self._notices.start(self._contest(session, registration, outcome))
            return accepted()
        return await self._answer(session, message, outcome)

    # ------------------------------------------------------------ what comes of it

    def _registration(self, session: AgentSession, message: AgentRegister) -> Registration:
        return Registration(
            message=message,
            source_ip=session.source_ip,
            live_boot=lambda device_id: self._sessions.live_boot(device_id, session, message.public_key),
            claim_connected=lambda claim_id: self._sessions.claim_connected(claim_id, session),
        )

    async def _contest(self, session: AgentSession, registration: Registration, outcome: Outcome) -> None:
        """Find out who is there of the two, or of the one, and answer the newcomer, if it is."""
        message = registration.message
        try:
            while isinstance(outcome, Contested):
                alive = await self._rival_is_alive(outcome, session)
                if not await self._is_there(session):
                    log.info("registration.abandoned", agent_id=message.agent_id, source_ip=session.source_ip)
                    return
                judged = replace(registration, rival_is_alive=alive, is_there=True)
                outcome = await self._presence.register(judged, partial(self._bind, session, message))
            await self._answer(session, message, outcome)
        except Exception:
            log.exception("event.failed", event_name=events.AGENT_REGISTER, source_ip=session.source_ip)
        finally:
            session.contending = False

    async def _is_there(self, session: AgentSession) -> bool:
        return await self._server.probe(session.sid, PROBE_S)

    async def _rival_is_alive(self, contested: Contested, session: AgentSession) -> bool:
        if contested.epoch_elsewhere and self._probing:
            self._admission.extend(session.eio_sid)
            try:
                alive = await self._probing.is_alive(contested.device_id, contested.epoch_elsewhere)
            except Unavailable:
                return False  # the registration is refused for the same reason
            if not alive:
                self._presence.superseded(contested.device_id, contested.epoch_elsewhere)
            return alive
        rival = self._sessions.by_device.get(contested.device_id)
        if rival is None or await self._is_there(rival):
            return rival is not None
        self._sessions.unbind(rival)
        self._presence.depart(rival, StatusCause.SUPERSEDED)
        text = "This connection did not answer while another one registered."
        await self._notices.end(rival, Code.SUPERSEDED, text)
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
        self._note(session, outcome)
        if isinstance(outcome, Held):
            if not session.closed:
                self._sessions.hold(session, outcome.claim_id, outcome.device_id)
            return
        if session.closed:  # it went while its registration was being saved
            session.device_id, session.epoch = outcome.device_id, outcome.epoch
            cause = session.departure(Reason.TRANSPORT_CLOSE, self._settings.ping_timeout)
            self._presence.depart(session, *cause)
            return
        session.trust = outcome.trust
        previous = self._sessions.bind(session, outcome.device_id, outcome.epoch)
        if previous:
            text = "A newer connection of this device took over."
            self._notices.end_soon(previous, Code.SUPERSEDED, text)

    def _step_down(self, session: AgentSession) -> None:
        """The connection stays, but it does not speak for its device any more."""
        self._sessions.unbind(session)
        self._presence.depart(session, StatusCause.CUT_OFF, "the agent became another device")
        session.device_id = session.epoch = 0

    def _note(self, session: AgentSession, outcome: Registered | Held) -> None:
        self._log.info(
            f"Agent registered: {session.hostname}",
            agent_id=outcome.agent_id,
            trust=outcome.trust.value,
            sid=session.sid,
            source_ip=session.source_ip,
        )
        if isinstance(outcome, Registered):
            if outcome.came_online:
                self._metrics.came_online()
            self._log.info("Device status updated: online", agent_id=outcome.agent_id, source_ip=session.source_ip)

    # ------------------------------------------------------------ what is answered

    async def _answer(self, session: AgentSession, message: AgentRegister, outcome: Outcome) -> dict[str, Any]:
        self._metrics.registrations.labels(type(outcome).__name__.lower()).inc()
        match outcome:
            case Refused():
                answer = await self._failed(session, message.agent_id, outcome)
                if outcome.code is Code.REJECTED and not session.anonymous:  # it spoke with this key until now
                    await self._notices.end(session, outcome.code, outcome.message)
                return answer
            case Split(token=token):
                text = "This machine is a copy of another one. It becomes a device of its own."
                split = IdentitySplit(enrollment_token=token, message=text)
                await self._notices.emit(session, events.IDENTITY_SPLIT, split)
                if not session.closed:
                    self._admission.readmit(session.eio_sid, session.source_ip)
                return accepted()
            case Registered() | Held():
                self._admission.done(session.eio_sid)
                success = RegistrationSuccess(
                    agent_id=outcome.agent_id,
                    trust=outcome.trust,
                    generation=outcome.generation,
                    heartbeat_interval_s=self._settings.heartbeat_interval_s,
                    server_time=iso(self._clock()),
                    http_token=outcome.http_token if isinstance(outcome, Registered) else "",
                    public_urls=self._settings.public_url,
                )
                await self._notices.emit(session, events.REGISTRATION_SUCCESS, success)
                if isinstance(outcome, Registered):
                    self._work.registered(session)
                return accepted(success)
            case Contested():
                raise AssertionError("a contest is settled before it is answered")

    async def _failed(self, session: AgentSession, agent_id: str, refused: Refused) -> dict[str, Any]:
        failure = RegistrationFailed.because(agent_id, refused.code, refused.message, refused.retry_after_s)
        self._failures.note(session.source_ip, refused.message, agent_id=agent_id, code=refused.code.value)
        await self._notices.emit(session, events.REGISTRATION_FAILED, failure)
        if REFUSALS[refused.code].retryable and refused.code is not Code.SERVER_BUSY:  # it may wait until we can
            session.attempts -= 1
            self._admission.extend(session.eio_sid)
        return refusal(refused.code, refused.message)


def _claimed_id(payload: Any) -> str:
    """What to call someone whose payload was not checked yet; never more than a short, plain text."""
    claimed = payload.get("agent_id") if isinstance(payload, dict) else None
    return claimed[: limits.AGENT_ID_MAX] if isinstance(claimed, str) and claimed.isprintable() else ""
