"""Every point on the path of a task at which a process can be killed. ``killed_at.py`` kills it there.

A point is a place in a function of the product, and says how the task may end if the process dies there. Nothing of
this is in the product, so it costs nothing there. Invariant: a point that is not reached is a failure of its test, so
a label cannot outlive the code that it names.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SUCCEEDED, INTERRUPTED, EXPIRED, CANCELLED, LOST = "succeeded", "interrupted", "expired", "cancelled", "lost"


class When(StrEnum):
    """Where in the function that is named."""

    BEFORE = "before"  # it has done nothing yet
    AFTER = "after"  # it has done everything, and nobody knows
    BEFORE_COMMIT = "before its commit"  # it has written, and none of it is durable
    AFTER_COMMIT = "after its commit"  # it is durable, and nobody knows


class Deed(StrEnum):
    """What is under way when the process is killed."""

    RUN = "run"  # a task that prints and lasts, and one behind it
    CANCEL = "cancel"  # the first of them is called off while it runs
    EXPIRE = "expire"  # a task whose device stays away until its time is over
    FORGET = "forget"  # a task is running when agent and journal are lost


@dataclass(frozen=True, slots=True)
class Point:
    """``function`` is "module:Class.method"; ``only`` says which of its calls count."""

    function: str
    when: When
    only: Callable[..., bool] = field(default=lambda *_, **__: True)
    ends: tuple[str, ...] = (SUCCEEDED,)
    """How the first task may end after this."""
    deed: Deed = Deed.RUN
    holds: bool = False
    """The first task goes on until the process is dead: the point is on the way while it runs."""
    after: str = ""
    """The label at which the process before it was killed: what is tried is how the next one takes up the pieces."""


# ---------------------------------------------------------------- which call


def _event(name: str, *states: str) -> Callable[..., bool]:
    """A call that sends this event, and in it one of these states. The server's first argument is the session."""

    def only(_self: Any, *arguments: Any) -> bool:
        *_session, event, content = arguments
        if event != name:
            return False
        content = content if isinstance(content, dict) else content.to_json()
        said = {update["state"] for update in content.get("updates", ())}
        return said >= set(states)

    return only


def _output_saved(_self: Any, _session: Any, event: str, message: Any) -> bool:
    return event == "task_acknowledged" and bool(message.output)


def _posts(_self: Any, method: str, *_: Any) -> bool:
    return method == "POST"


def _reports(*states: str) -> Callable[..., bool]:
    """A batch in which one of these states is reported."""

    def only(_self: Any, items: Any) -> bool:
        return any(update.state in states for item in items for update in getattr(item, "updates", ()))

    return only


def _prints(_self: Any, items: Any) -> bool:
    return any(hasattr(item, "frames") for item in items)


def _again(_self: Any, claimants: Any) -> bool:
    return any(claimant.again for claimant in claimants)


def _some_wait(_self: Any, tasks: Any, started: Any) -> bool:
    return len(tasks) > len(started)


def _some_start(_self: Any, _tasks: Any, started: Any) -> bool:
    return bool(started)


def _told(*states: str) -> Callable[..., bool]:
    """An acknowledgement of one of these states."""
    return lambda _self, message: any(update.state in states for update in message.updates)


# ---------------------------------------------------------------- the points

_RUNS = "app.tasks.runs:RunService.start"
_CLAIM = "app.tasks.delivery:DeliveryService.deliver_many"
_SAVE = "app.tasks.reports:ReportService.save_many"
_EMIT = "app.realtime.notices:Notices.emit"
_POST = "app.realtime.tasks:TaskGateway.post"
_REGISTER = "app.devices.registration:RegistrationService.register_many"
_REAP = "app.tasks.reaper:ReaperService.reap"
_CANCEL = "app.tasks.cancelling:Cancelling.cancel_task"

SERVER = {
    "run: before the commit": Point(_RUNS, When.BEFORE_COMMIT),
    "run: committed, before the 202": Point(_RUNS, When.AFTER_COMMIT),
    "claim: before the commit": Point(_CLAIM, When.BEFORE_COMMIT),
    "claim: committed, before it is sent": Point(_CLAIM, When.AFTER_COMMIT),
    "claim: after it is sent": Point(_EMIT, When.AFTER, _event("task_assigned")),
    "receipt: before the commit": Point(_SAVE, When.BEFORE_COMMIT, _reports("accepted"), holds=True),
    "receipt: committed, before the acknowledgement": Point(_SAVE, When.AFTER_COMMIT, _reports("accepted"), holds=True),
    "receipt: after the acknowledgement": Point(_EMIT, When.AFTER, _event("task_acknowledged", "accepted"), holds=True),
    "start: before the commit": Point(_SAVE, When.BEFORE_COMMIT, _reports("running"), holds=True),
    "start: committed, before the acknowledgement": Point(_SAVE, When.AFTER_COMMIT, _reports("running"), holds=True),
    "output: before the commit": Point(_SAVE, When.BEFORE_COMMIT, _prints, holds=True),
    "output: committed, before the acknowledgement": Point(_SAVE, When.AFTER_COMMIT, _prints, holds=True),
    "output: after the acknowledgement": Point(_EMIT, When.AFTER, _output_saved, holds=True),
    "posted output: before it is read": Point(_POST, When.BEFORE, holds=True),
    "posted output: committed, before the answer": Point(_POST, When.AFTER, holds=True),
    "end: before the commit": Point(_SAVE, When.BEFORE_COMMIT, _reports(SUCCEEDED)),
    "end: committed, before the acknowledgement": Point(_SAVE, When.AFTER_COMMIT, _reports(SUCCEEDED)),
    "end: after the acknowledgement": Point(_EMIT, When.AFTER, _event("task_acknowledged", SUCCEEDED)),
    "registration: before the commit": Point(
        _REGISTER, When.BEFORE_COMMIT, after="receipt: committed, before the acknowledgement"
    ),
    "registration: committed, before the answer": Point(
        _REGISTER, When.AFTER_COMMIT, after="receipt: committed, before the acknowledgement"
    ),
    "registration: after the answer": Point(
        _EMIT, When.AFTER, _event("registration_success"), after="receipt: committed, before the acknowledgement"
    ),
    "redelivery: before the commit": Point(
        _CLAIM, When.BEFORE_COMMIT, _again, after="claim: committed, before it is sent"
    ),
    "redelivery: before it is sent": Point(
        _EMIT, When.BEFORE, _event("task_assigned"), after="claim: committed, before it is sent"
    ),
    "redelivery: after it is sent": Point(
        _EMIT, When.AFTER, _event("task_assigned"), after="claim: committed, before it is sent"
    ),
    "cancellation: before the commit": Point(_CANCEL, When.BEFORE_COMMIT, ends=(CANCELLED,), deed=Deed.CANCEL),
    "cancellation: committed, before anybody is told": Point(
        _CANCEL, When.AFTER_COMMIT, ends=(CANCELLED,), deed=Deed.CANCEL
    ),
    "cancellation: after it is sent": Point(
        _EMIT, When.AFTER, _event("task_cancel"), ends=(CANCELLED,), deed=Deed.CANCEL
    ),
    "reaper: before the commit": Point(_REAP, When.BEFORE_COMMIT, ends=(EXPIRED,), deed=Deed.EXPIRE),
    "reaper: committed": Point(_REAP, When.AFTER_COMMIT, ends=(EXPIRED,), deed=Deed.EXPIRE),
    "a new journal: before the commit": Point(_REGISTER, When.BEFORE_COMMIT, ends=(LOST,), deed=Deed.FORGET),
    "a new journal: committed, before the answer": Point(_REGISTER, When.AFTER_COMMIT, ends=(LOST,), deed=Deed.FORGET),
}

_JOURNAL = "deployx_agent.tasks.journal:Journal."
_SEND = "deployx_agent.connection.socketio_transport:SocketIOTransport.send"
_REQUEST = "deployx_agent.connection.socketio_transport:SocketIOTransport.request"
_HEARS = "deployx_agent.tasks.outbox:Outbox.acknowledged"
_LATCH = "deployx_agent.tasks.child:start"
_LET_GO = "deployx_agent.tasks.child:Child.let_go"
_SPOOL = "deployx_agent.tasks.spool:Spool."
_STORE = "deployx_agent.identity:Identity.store_generation"
_LEFT_OVER = "deployx_agent.tasks.recovery:end_left_over"
_END = "deployx_agent.tasks.processes:end"
_KILLED = (INTERRUPTED,)
_EITHER = (SUCCEEDED, INTERRUPTED)

AGENT = {
    "registration: before it is stored": Point(_STORE, When.BEFORE),
    "registration: stored, before it is confirmed": Point(_STORE, When.AFTER),
    "received: before the journal": Point(_JOURNAL + "received", When.BEFORE),
    "received: journalled, before the receipt": Point(
        _JOURNAL + "received", When.AFTER, _some_wait, ends=_KILLED, holds=True
    ),
    "received: journalled with its start, before anybody knows": Point(
        _JOURNAL + "received", When.AFTER, _some_start, ends=_KILLED
    ),
    "receipt: before it is sent": Point(
        _SEND, When.BEFORE, _event("task_updates", "accepted"), ends=_EITHER, holds=True
    ),
    "receipt: after it is sent": Point(_SEND, When.AFTER, _event("task_updates", "accepted"), ends=_EITHER, holds=True),
    "receipt: acknowledged": Point(_HEARS, When.AFTER, _told("accepted"), ends=_EITHER, holds=True),
    "start: before the fork": Point(_LATCH, When.BEFORE),
    "start: behind the latch, before the journal": Point(_LATCH, When.AFTER),
    "start: journalled, before the latch is opened": Point(_LET_GO, When.BEFORE, ends=_KILLED, holds=True),
    "start: the latch is open": Point(_LET_GO, When.AFTER, ends=_KILLED, holds=True),
    "running: before it is said": Point(
        _SEND, When.BEFORE, _event("task_updates", "running"), ends=_KILLED, holds=True
    ),
    "running: after it is said": Point(_SEND, When.AFTER, _event("task_updates", "running"), ends=_KILLED, holds=True),
    "running: output is in the spool": Point(_SPOOL + "append", When.AFTER, ends=_KILLED, holds=True),
    "running: output is sent": Point(_SEND, When.AFTER, _event("task_output"), ends=_KILLED, holds=True),
    "ended: before the output is synced": Point(_SPOOL + "seal", When.BEFORE, ends=_KILLED),
    "ended: output synced, before the journal": Point(_SPOOL + "seal", When.AFTER, ends=_KILLED),
    "ended: journalled, before it is said": Point(_JOURNAL + "finished", When.AFTER),
    "ended: before it is sent": Point(_SEND, When.BEFORE, _event("task_updates", SUCCEEDED)),
    "ended: after it is sent": Point(_SEND, When.AFTER, _event("task_updates", SUCCEEDED)),
    "output: before a post": Point(_REQUEST, When.BEFORE, _posts, ends=_KILLED, holds=True),
    "output: posted, before it is noted": Point(_REQUEST, When.AFTER, _posts, ends=_KILLED, holds=True),
    "acknowledged: before it is noted": Point(_HEARS, When.BEFORE, _told(SUCCEEDED)),
    "acknowledged: before the row is closed": Point(_JOURNAL + "closed", When.BEFORE),
    "acknowledged: closed, before the spool is removed": Point(_SPOOL + "remove", When.BEFORE),
    "acknowledged: the spool is removed": Point(_SPOOL + "remove", When.AFTER),
    "recovery: before what is left is ended": Point(
        _LEFT_OVER, When.BEFORE, ends=_KILLED, after="start: the latch is open"
    ),
    "recovery: ended, before the journal": Point(
        _LEFT_OVER, When.AFTER, ends=_KILLED, after="start: the latch is open"
    ),
    "recovery: journalled, before it is said": Point(
        _JOURNAL + "finished", When.AFTER, ends=_KILLED, after="start: the latch is open"
    ),
    "cancellation: before the processes are ended": Point(
        _END, When.BEFORE, ends=(CANCELLED, INTERRUPTED), deed=Deed.CANCEL
    ),
    "cancellation: the processes are ended": Point(_END, When.AFTER, ends=(CANCELLED, INTERRUPTED), deed=Deed.CANCEL),
}

POINTS = {"server": SERVER, "agent": AGENT}
