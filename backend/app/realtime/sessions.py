"""The agents connected to this node: one record per connection, and which of them speaks for which device.

Invariant: a device has at most one session; everything else that presents its identity is held on a claim.
"""

from dataclasses import dataclass

from app.realtime.reasons import Reason
from deployx_protocol.codes import Code
from deployx_protocol.states import StatusCause

_ENDINGS = {Code.SUPERSEDED: StatusCause.SUPERSEDED, Code.SERVER_SHUTDOWN: StatusCause.SERVER_SHUTDOWN}


@dataclass(eq=False, slots=True)
class AgentSession:
    """One connection of an agent. Anonymous while ``device_id`` and ``claim_id`` are 0."""

    sid: str
    eio_sid: str
    source_ip: str
    may_have_key: bool = True
    """Whether the way it came by is one for devices with a key; else it is for presence alone."""
    device_id: int = 0
    epoch: int = 0
    claim_id: int = 0
    claimed_device_id: int = 0
    boot_id: str = ""
    public_key: str = ""
    agent_id: str = ""
    hostname: str = ""
    trust: str = ""
    """What the agent was told that its device may be given."""
    attempts: int = 0
    leaving: str | None = None
    """Why the agent said it leaves; None while it has not."""
    ended: Code | None = None
    """Why the server ended it; None while it has not."""
    closed: bool = False
    handed_over: bool = False
    """Whether it was sent to another node: its row stays as it is until it has registered there."""
    contending: bool = False
    """Whether it is being found out which of two connections speaks for its device."""

    @property
    def anonymous(self) -> bool:
        """Whether nothing but `agent_register` may be dispatched."""
        return not self.device_id and not self.claim_id

    def departure(self, reason: str, ping_timeout_s: float) -> tuple[StatusCause, str]:
        """Why the device is offline once this connection is closed for the transport's ``reason``; words, if any."""
        if self.leaving is not None:
            return StatusCause.AGENT_LEAVING, f"the agent stopped: {self.leaving}" if self.leaving else ""
        if self.ended is not None:
            return _ENDINGS.get(self.ended, StatusCause.CUT_OFF), ""
        if reason == Reason.PING_TIMEOUT:
            return StatusCause.PING_TIMEOUT, f"no pong for {ping_timeout_s:g} s"
        return StatusCause.CONNECTION_CLOSED, ""


class Sessions:
    """All connections of this node, by connection, by device and by claim."""

    def __init__(self) -> None:
        self.by_sid: dict[str, AgentSession] = {}
        self.by_device: dict[int, AgentSession] = {}
        self._held: dict[int, AgentSession] = {}

    def add(self, session: AgentSession) -> None:
        """A connection opened."""
        self.by_sid[session.sid] = session

    def remove(self, session: AgentSession) -> None:
        """A connection closed."""
        session.closed = True
        self.by_sid.pop(session.sid, None)
        self.unbind(session)

    def bind(self, session: AgentSession, device_id: int, epoch: int) -> AgentSession | None:
        """``session`` speaks for the device from now on; the one that did before, if any, is returned."""
        self._release(session)
        previous = self.by_device.get(device_id)
        session.device_id, session.epoch = device_id, epoch
        self.by_device[device_id] = session
        return previous if previous is not session else None

    def hold(self, session: AgentSession, claim_id: int, device_id: int) -> None:
        """``session`` waits for the answer to a claim about the device."""
        self.unbind(session)
        session.claim_id, session.claimed_device_id = claim_id, device_id
        self._held[claim_id] = session

    def unbind(self, session: AgentSession) -> None:
        """``session`` speaks for nobody any more; what it was stays readable in its fields."""
        self._release(session)
        if self.by_device.get(session.device_id) is session:
            del self.by_device[session.device_id]

    def _release(self, session: AgentSession) -> None:
        if self._held.get(session.claim_id) is session:
            del self._held[session.claim_id]
        session.claim_id = session.claimed_device_id = 0

    def live_boot(self, device_id: int, asking: AgentSession, public_key: str) -> str | None:
        """The boot id of another open connection that speaks for the device with the same key."""
        session = self.by_device.get(device_id)
        rival = session and session is not asking and session.public_key == public_key
        return session.boot_id if session and rival else None

    def claim_connected(self, claim_id: int, asking: AgentSession | None = None) -> bool:
        """Whether another connection waits on the claim."""
        session = self._held.get(claim_id)
        return session is not None and session is not asking

    def held(self) -> list[AgentSession]:
        """All connections that wait for the answer to a claim."""
        return list(self._held.values())

    def held_for(self, device_id: int) -> list[AgentSession]:
        """Connections that wait for the answer to a claim about the device."""
        return [session for session in self._held.values() if session.claimed_device_id == device_id]
