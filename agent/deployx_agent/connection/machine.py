"""The agent's states and every arrow between them: the specification's "Status States", as one table.

Invariant: nothing else in the agent remembers whether it is connected; whoever wants to know asks for the state.
"""

from enum import StrEnum


class State(StrEnum):
    """Where the agent is. STOPPED is the flow chart's "FAIL EXIT" and "STOP Agent"."""

    START = "start"  # launched; configuration and identity are being read
    CONNECTING = "connecting"  # a Socket.IO connection is being opened
    CONNECTED = "connected"  # the connection is open; the server does not know yet who we are
    REGISTERING = "registering"  # agent_register was sent
    READY = "ready"  # the server has saved us
    ACTIVE = "active"  # listening for commands, heartbeat running
    RETRYING = "retrying"  # waiting before the next attempt
    STOPPED = "stopped"  # the process is about to exit


class Event(StrEnum):
    """What moves the agent from one state to another."""

    LAUNCHED = "launched"  # configuration and identity are there
    CONNECTION_OPENED = "connection_opened"
    CONNECTION_FAILED = "connection_failed"  # refused, unreachable, not a DeployX server
    TIMED_OUT = "timed_out"  # no connection, or no answer to agent_register, in time
    REGISTER_SENT = "register_sent"
    REGISTERED = "registered"  # registration_success
    LISTENING = "listening"  # generation stored and confirmed, heartbeat started
    REGISTER_AGAIN = "register_again"  # registration_required or identity_split
    REGISTRATION_FAILED = "registration_failed"  # for a reason that can pass
    SOCKET_ERROR = "socket_error"  # the connection is open but does not work: no pong, nonsense
    DISCONNECTED = "disconnected"  # the connection is gone
    RETRY_DUE = "retry_due"
    ATTEMPTS_SPENT = "attempts_spent"
    REFUSED = "refused"  # by the server, for good
    STOP_REQUESTED = "stop_requested"  # SIGTERM, SIGINT


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.START, Event.LAUNCHED): State.CONNECTING,
    (State.START, Event.STOP_REQUESTED): State.STOPPED,
    (State.CONNECTING, Event.CONNECTION_OPENED): State.CONNECTED,
    (State.CONNECTING, Event.CONNECTION_FAILED): State.RETRYING,
    (State.CONNECTING, Event.TIMED_OUT): State.RETRYING,
    (State.CONNECTING, Event.STOP_REQUESTED): State.STOPPED,
    (State.CONNECTED, Event.REGISTER_SENT): State.REGISTERING,
    (State.CONNECTED, Event.SOCKET_ERROR): State.RETRYING,
    (State.CONNECTED, Event.DISCONNECTED): State.RETRYING,
    (State.CONNECTED, Event.STOP_REQUESTED): State.STOPPED,
    (State.REGISTERING, Event.REGISTERED): State.READY,
    (State.REGISTERING, Event.REGISTER_AGAIN): State.REGISTERING,
    (State.REGISTERING, Event.REGISTRATION_FAILED): State.RETRYING,
    (State.REGISTERING, Event.TIMED_OUT): State.RETRYING,
    (State.REGISTERING, Event.SOCKET_ERROR): State.RETRYING,
    (State.REGISTERING, Event.DISCONNECTED): State.RETRYING,
    (State.REGISTERING, Event.REFUSED): State.STOPPED,
    (State.REGISTERING, Event.STOP_REQUESTED): State.STOPPED,
    (State.READY, Event.LISTENING): State.ACTIVE,
    (State.READY, Event.REGISTER_AGAIN): State.REGISTERING,
    (State.READY, Event.SOCKET_ERROR): State.RETRYING,
    (State.READY, Event.DISCONNECTED): State.RETRYING,
    (State.READY, Event.REFUSED): State.STOPPED,
    (State.READY, Event.STOP_REQUESTED): State.STOPPED,
    (State.ACTIVE, Event.REGISTER_AGAIN): State.REGISTERING,
    (State.ACTIVE, Event.SOCKET_ERROR): State.RETRYING,
    (State.ACTIVE, Event.DISCONNECTED): State.RETRYING,
    (State.ACTIVE, Event.REFUSED): State.STOPPED,
    (State.ACTIVE, Event.STOP_REQUESTED): State.STOPPED,
    (State.RETRYING, Event.RETRY_DUE): State.CONNECTING,
    (State.RETRYING, Event.ATTEMPTS_SPENT): State.STOPPED,
    (State.RETRYING, Event.STOP_REQUESTED): State.STOPPED,
}


class IllegalTransition(Exception):
    """An event that has no arrow from the state it met: a bug of ours."""


def allows(state: State, event: Event) -> bool:
    """Whether ``event`` has an arrow from ``state``."""
    return (state, event) in TRANSITIONS


def advance(state: State, event: Event) -> State:
    """The state after ``event``. Raises IllegalTransition when the table has no such arrow."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"{event} in state {state}") from None
