"""Why a registration or a session was refused, and what an agent does about it: one table, read by both ends."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The ``code`` of ``registration_failed`` and ``session_ended``."""

    INVALID_PAYLOAD = "invalid_payload"  # a field is missing, of the wrong type, too long or unreadable
    PROTOCOL_UNSUPPORTED = "protocol_unsupported"  # the agent speaks a newer protocol than the server
    WRONG_ORIGIN = "wrong_origin"  # the address that was dialled is not one of the server's
    INVALID_CREDENTIALS = "invalid_credentials"  # the enrolment token or the signature is not good, or none came
    IDENTITY_CONFLICT = "identity_conflict"  # the ids are of a device with a key, and the client has none
    REJECTED = "rejected"  # someone refused this device
    REMOVED = "removed"  # someone deleted this device
    SUPERSEDED = "superseded"  # a newer connection of the same device took over
    SERVER_BUSY = "server_busy"  # too many connections or attempts; later
    SERVER_UNAVAILABLE = "server_unavailable"  # the database does not answer; later
    SERVER_SHUTDOWN = "server_shutdown"  # the server is stopping; again in a moment
    SIGNED_OUT = "signed_out"  # the dashboard's session or token has ended
    ROLE_CHANGED = "role_changed"  # the dashboard's user may do more, or less, than when it connected; again at once
    TOO_SLOW = "too_slow"  # the peer does not read what is sent to it


EXIT_OK = 0
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE: the server could not be reached in the attempts allowed
EXIT_SOFTWARE = 70  # EX_SOFTWARE: a bug
EXIT_TEMPFAIL = 75  # EX_TEMPFAIL: another agent holds this state folder
EXIT_NOPERM = 77  # EX_NOPERM: the server refuses these credentials
EXIT_CONFIG = 78  # EX_CONFIG: the configuration, or what we send because of it, is unusable


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a code means for the agent that is told it."""

    retryable: bool
    exit_code: int
    """With what an agent exits when the refusal is final."""


REFUSALS: dict[Code, Refusal] = {
    Code.INVALID_PAYLOAD: Refusal(False, EXIT_CONFIG),
    Code.PROTOCOL_UNSUPPORTED: Refusal(False, EXIT_CONFIG),
    Code.WRONG_ORIGIN: Refusal(False, EXIT_CONFIG),
    Code.INVALID_CREDENTIALS: Refusal(False, EXIT_NOPERM),
    Code.IDENTITY_CONFLICT: Refusal(False, EXIT_NOPERM),
    Code.REJECTED: Refusal(False, EXIT_NOPERM),
    Code.REMOVED: Refusal(False, EXIT_NOPERM),
    Code.SUPERSEDED: Refusal(False, EXIT_TEMPFAIL),
    Code.SERVER_BUSY: Refusal(True, EXIT_UNAVAILABLE),
    Code.SERVER_UNAVAILABLE: Refusal(True, EXIT_UNAVAILABLE),
    Code.SERVER_SHUTDOWN: Refusal(True, EXIT_UNAVAILABLE),
    Code.SIGNED_OUT: Refusal(False, EXIT_NOPERM),
    Code.ROLE_CHANGED: Refusal(True, EXIT_UNAVAILABLE),
    Code.TOO_SLOW: Refusal(True, EXIT_UNAVAILABLE),
}
