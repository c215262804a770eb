"""How a connection can end, and what follows: the failure table of the specification, applied.

Every ending has the arrow it takes in the state machine, and either why to try again or with what to exit.
"""

from dataclasses import dataclass
from typing import Any

from deployx_agent.connection.machine import Event
from deployx_agent.connection.retry import Why
from deployx_protocol import checks
from deployx_protocol.codes import EXIT_OK, EXIT_UNAVAILABLE, REFUSALS, Code
from deployx_protocol.messages import Message, Refused


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an attempt or of the connection it opened."""

    event: Event
    reason: str
    retry: Why | None = None
    """None: there is no next attempt."""
    retry_after_s: float | None = None
    exit_code: int = EXIT_UNAVAILABLE
    code: str = ""
    """The server's, when it was the server who ended it."""


def stopped() -> Ending:
    """The operator, or the operating system, wants the agent to end."""
    return Ending(Event.STOP_REQUESTED, "stop requested", exit_code=EXIT_OK)


def refused(payload: Any, *, registered: bool) -> Ending:
    """What follows from a ``registration_failed`` or ``session_ended`` with this ``payload``.

    A code that this version does not know is judged by the ``retryable`` beside it; without that, by trying again: an
    agent that gives up wrongly is worse than one that asks once more.
    """
    try:
        message: Refused | _OfTomorrow = checks.decode(payload, Refused)
        exit_code = REFUSALS[Code(message.code)].exit_code
    except checks.InvalidPayload:
        exit_code = EXIT_UNAVAILABLE
        try:
            message = checks.decode(payload, _OfTomorrow)
        except checks.InvalidPayload as error:
            message = _OfTomorrow(message=str(error))
    return _ending(message.code, message.message, message.retryable, message.retry_after_s, exit_code, registered)


class _OfTomorrow(Message, frozen=True, kw_only=True):
    """A refusal as a later version may send it."""

    code: str = "unknown"
    message: str = ""
    retryable: bool = True
    retry_after_s: float | None = None


def _ending(
    code: str, reason: str, retryable: bool, retry_after_s: float | None, exit_code: int, registered: bool
) -> Ending:
    if not retryable:
        return Ending(Event.REFUSED, reason, None, None, exit_code, code)
    if registered:
        return Ending(Event.DISCONNECTED, reason, Why.LOST, retry_after_s, exit_code, code)
    return Ending(Event.REGISTRATION_FAILED, reason, Why.POSTPONED, retry_after_s, exit_code, code)
