"""The words for what a device is: its status, its trust, and why its status changed."""

from enum import StrEnum


class DeviceStatus(StrEnum):
    """The column ``devices.status``."""

    ONLINE = "online"
    OFFLINE = "offline"


class Presence(StrEnum):
    """What people are shown: a status, or ``unknown`` while a restarted server waits for its agents to return."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Trust(StrEnum):
    """What a device may be given."""

    PENDING = "pending"  # seen; no work until someone accepts it
    TRUSTED = "trusted"  # may be given work
    UNVERIFIED = "unverified"  # a client without a key: presence only, never work
    QUARANTINED = "quarantined"  # its identity is in conflict: no work until someone answers


class StatusCause(StrEnum):
    """Why a status changed; ``CAUSE_TEXT`` is how people read it."""

    REGISTERED = "registered"
    AGENT_LEAVING = "agent_leaving"
    CONNECTION_CLOSED = "connection_closed"
    PING_TIMEOUT = "ping_timeout"
    SUPERSEDED = "superseded"
    CUT_OFF = "cut_off"
    SERVER_SHUTDOWN = "server_shutdown"
    SERVER_LOST = "server_lost"
    RECONCILED = "reconciled"


CAUSE_TEXT: dict[StatusCause, str] = {
    StatusCause.REGISTERED: "the agent registered",
    StatusCause.AGENT_LEAVING: "the agent stopped",
    StatusCause.CONNECTION_CLOSED: "the connection closed without a goodbye",
    StatusCause.PING_TIMEOUT: "no pong within the ping timeout",
    StatusCause.SUPERSEDED: "a newer connection took over",
    StatusCause.CUT_OFF: "the server closed the connection",
    StatusCause.SERVER_SHUTDOWN: "the server stopped",
    StatusCause.SERVER_LOST: "the server was lost and the agent has not come back",
    StatusCause.RECONCILED: "the connection ended while the database was away",
}


class ClaimKind(StrEnum):
    """Why an identity is in conflict."""

    REINSTALLED = "reinstalled"  # an unknown key (or none) names the machine or agent id of a keyed device
    MOVED = "moved"  # a known key on hardware of which more than half differs
    CLONED = "cloned"  # one key, two live agents, or a generation that was already left behind
