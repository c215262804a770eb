"""Why a task is in its state, and what happens next: one pure function of (task, device, run).

The sentences name moments as ISO 8601 in UTC with ``Z``, to the second, and nothing else looks like that: whoever shows
them may replace each by the reader's own time. They hold no duration that would be wrong a minute later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.clock import iso
from app.tasks.models import Task
from app.tasks.spans import span
from deployx_protocol.states import Presence, Trust
from deployx_protocol.tasks import FINAL, TaskCode, TaskState


@dataclass(frozen=True, slots=True)
class DeviceNow:
    """What counts of a device."""

    presence: Presence
    since: datetime | None
    trust: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a task's state depends on besides itself. ``device`` is None when it was deleted.

    ``behind``: how many older tasks of its device are queued; ``in_flight``: how many places of its run are taken,
    where ``max_parallel`` limits them; ``this_session``: whether it was sent in the device's present session.
    """

    expires_at: datetime
    timeout_s: float
    max_parallel: int | None = None
    device: DeviceNow | None = None
    behind: int = 0
    in_flight: int = 0
    this_session: bool = True

    @property
    def full(self) -> str:
        """That its run has no place; empty if it has one."""
        if self.max_parallel is None or self.in_flight < self.max_parallel:
            return ""
        return f"waits: {self.in_flight} of {self.max_parallel} in flight"


def explain(task: Task, at: Circumstances) -> tuple[str, str]:
    """(reason, next event). The next event is empty when the task is over."""
    state = TaskState(task.state)
    if state in FINAL:
        return _over(task, state, at), ""
    reason, following = _unfinished(task, state, at)
    if task.cancel_requested_at and state is not TaskState.QUEUED:
        called = "withdrawn" if task.code == TaskCode.WITHDRAWN else "called off"
        return f"{called} at {_at(task.cancel_requested_at)}; {reason}", _until_it_confirms(task, at)
    return reason, following


def _unfinished(task: Task, state: TaskState, at: Circumstances) -> tuple[str, str]:
    if state is TaskState.QUEUED:
        return _queued(at)
    away = _away(at.device)
    if state is TaskState.SENT:
        return _sent(away, at)
    if state is TaskState.ACCEPTED:
        reason = "received by the device, where it waits for its turn"
        if away:
            return f"{reason}; {away}", f"the device starts it by {_at(at.expires_at)}, or never"
        return reason, f"must start by {_at(at.expires_at)}"
    started = task.started_at or task.accepted_at or task.created_at
    ends = f"ends by {_at(started + timedelta(seconds=at.timeout_s))}, its time-out"
    reason = f"running since {_at(started)}"
    if away:
        return f"{reason}; {away}", f"{ends}; its result comes when the device is back"
    return reason, ends


def _sent(away: str, at: Circumstances) -> tuple[str, str]:
    reason, until = "sent, and not yet confirmed by the device", f"until {_at(at.expires_at)}"
    if away:
        return f"{reason}; {away}", f"sent again when it is back, {until}"
    if at.this_session:
        return reason, f"must start by {_at(at.expires_at)}"
    if at.full:  # it gave its place up when its connection was lost
        return f"{reason}; {at.full}", f"sent again when one of them ends, {until}"
    return reason, f"sent again at once, {until}"


def _queued(at: Circumstances) -> tuple[str, str]:
    until = f"until {_at(at.expires_at)}"
    if at.device is None:
        return "the device was deleted", "called off in a moment"
    if at.device.trust != Trust.TRUSTED:
        return f"the device is {at.device.trust}, and gets no work", f"sent when it is trusted again, {until}"
    away = _away(at.device)
    if away:
        waits = f"{away}; {_behind(at.behind)}" if at.behind else away
        return waits, f"sent when it is back, {until}"
    if at.full:
        return at.full, f"sent when one of them ends, {until}"
    if at.behind:
        return _behind(at.behind), f"sent after those, {until}"
    return "about to be sent", f"sent at once, {until}"


def _behind(count: int) -> str:
    return f"queued behind {count} {'run' if count == 1 else 'runs'}"


def _away(device: DeviceNow | None) -> str:
    """Why nothing reaches the device; empty when it is there."""
    if device is None:
        return "the device was deleted"
    since = f" since {_at(device.since)}" if device.since else ""
    match device.presence:
        case Presence.OFFLINE:
            return f"offline{since}"
        case Presence.UNKNOWN:
            return "the device has not come back since the server restarted"
    return ""


def _until_it_confirms(task: Task, at: Circumstances) -> str:
    confirms = "ends when the device confirms it"
    if _away(at.device):
        confirms = "ends when the device is back and confirms it"
    return f"{confirms}; lost after {_at(task.deadline_at)}" if task.deadline_at else confirms


def _over(task: Task, state: TaskState, at: Circumstances) -> str:
    if task.message:
        return task.message
    match state:
        case TaskState.SUCCEEDED | TaskState.FAILED:
            return _ending(task)
        case TaskState.TIMED_OUT:
            return f"ran longer than its time-out of {span(at.timeout_s)}, and was ended"
        case TaskState.CANCELLED if task.code == TaskCode.DEVICE_DELETED:
            return "the device was deleted before this was sent"
        case TaskState.CANCELLED if task.code == TaskCode.WITHDRAWN:
            return "withdrawn before it started: what it belongs to was stopped"
        case TaskState.CANCELLED:
            return "called off while it ran" if task.started_at else "called off before it started"
        case TaskState.INTERRUPTED:
            return _INTERRUPTED.get(task.code, "the agent or its machine stopped while it ran")
        case TaskState.EXPIRED:
            return f"was not started by {_at(at.expires_at)}"
    return _LOST.get(task.code, "nobody can say what became of it")


def _ending(task: Task) -> str:
    if task.signal is not None:
        return f"ended by signal {task.signal}"
    if task.exit_code is not None:
        return f"exit code {task.exit_code}"
    return f"could not start: {task.code.replace('_', ' ')}" if task.code else "ended"


_INTERRUPTED: dict[str, str] = {
    TaskCode.AGENT_STOPPED: "the agent was stopped while it ran",
    TaskCode.AGENT_KILLED: "the agent or its machine ended without notice while it ran",
}
_LOST: dict[str, str] = {
    TaskCode.SILENT: "no word from the device until its deadline; a result that comes late still counts",
    TaskCode.DEVICE_DELETED: "the device was deleted before it said what became of this",
    TaskCode.JOURNAL_NEW: "the agent lost its journal; whether this ran is not known",
    TaskCode.JOURNAL_RESTORED: "the agent was put back to an earlier state; whether this ran is not known",
    TaskCode.NOT_IN_JOURNAL: "the agent had received it and does not know it any more; whether this ran is not known",
}


def _at(moment: datetime) -> str:
    return iso(moment.replace(microsecond=0)).replace(".000Z", "Z")
