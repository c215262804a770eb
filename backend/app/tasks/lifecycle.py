"""How a task's row changes with each event: pure, on the row alone. The table of states is the protocol's.

Invariants: what is not final has a ``deadline_at``, what is final has none; a report changes nothing twice, whatever
order and number it comes in; nothing moves a task whose journal is gone.
"""

from datetime import datetime, timedelta

from app.tasks.models import Run
from app.tasks.rows import LockedTask
from deployx_protocol.task_messages import TaskUpdate
from deployx_protocol.tasks import FINAL, TRANSITIONS, TaskCode, TaskEvent, TaskState, advance

GRACE = timedelta(seconds=120)
"""How long past the moment at which an agent ends a task by itself the server waits for word of it."""
START_WITHIN = timedelta(minutes=30)
"""How long the task of a release may wait to start: whoever made it makes another one when it is worth it."""
_FORGOTTEN = frozenset({TaskCode.JOURNAL_NEW, TaskCode.JOURNAL_RESTORED})


def forgotten(task: LockedTask) -> bool:
    """Whether it was in flight when its agent's journal went: whoever speaks of it speaks from an earlier time."""
    return task.state == TaskState.LOST and task.code in _FORGOTTEN


def expires_at(run: Run, created_at: datetime) -> datetime:
    """Until when a task of ``run`` that was made at ``created_at`` may start."""
    return run.expires_at if run.release is None else min(run.expires_at, created_at + START_WITHIN)


SENT = advance(TaskState.QUEUED, TaskEvent.SEND)
"""What a task is once it is handed to a session of its device."""


def sent_until(run: Run, created_at: datetime) -> datetime:
    """The ``deadline_at`` of a task of ``run`` that is sent."""
    return expires_at(run, created_at) + GRACE


def end(task: LockedTask, event: TaskEvent, now: datetime, code: TaskCode = TaskCode.NONE, message: str = "") -> None:
    """The server ends it: EXPIRE, CANCEL, GO_SILENT or FORGET."""
    unsent = task.state == TaskState.QUEUED
    task.state = advance(TaskState(task.state), event)
    task.code, task.message = code, message
    task.finished_at, task.deadline_at = now, None
    if unsent:
        task.output_chunks = 0


def withdraw(task: LockedTask, now: datetime) -> bool:
    """It is to be started no more; False if that is settled, or it has started. What was sent is its agent's to end:
    it may have heard of it, and started it already."""
    if task.state == TaskState.QUEUED:
        end(task, TaskEvent.CANCEL, now, TaskCode.WITHDRAWN)
        return True
    if task.state not in (TaskState.SENT, TaskState.ACCEPTED) or task.cancel_requested_at is not None:
        return False
    task.cancel_requested_at, task.code = now, TaskCode.WITHDRAWN
    return True


def report(task: LockedTask, run: Run, update: TaskUpdate, now: datetime) -> bool:
    """Apply what its agent says; False if that changes nothing.

    A report about a task that is still queued is believed: this database was put back to an earlier time.
    """
    state = TaskState(task.state)
    if state is TaskState.QUEUED:
        state = TaskState.SENT
        task.sent_at = now
    if forgotten(task) or (state is TaskState.LOST and task.code != TaskCode.SILENT):
        return False
    following = TRANSITIONS.get((state, TaskEvent(update.state.value)))
    if following is None:
        return False
    earliest = task.sent_at or task.created_at
    at = max(now - timedelta(seconds=update.ago_s), earliest)
    withdrawn = task.code == TaskCode.WITHDRAWN and task.cancel_requested_at is not None
    task.state, task.code, task.message = following, update.code, update.message
    if withdrawn and following is TaskState.ACCEPTED:
        task.code = TaskCode.WITHDRAWN
    elif withdrawn and following is TaskState.RUNNING:
        task.cancel_requested_at = None  # it had started: what runs goes on
    task.finished_at = None
    if following is TaskState.ACCEPTED:
        task.accepted_at = task.accepted_at or at
        task.deadline_at = (
            max(expires_at(run, task.created_at), now) + GRACE
        )  # one that was given up is told that its time is over
        return True
    task.accepted_at = task.accepted_at or at
    if following is TaskState.RUNNING:
        task.started_at = task.started_at or at
        task.deadline_at = task.started_at + timedelta(seconds=run.timeout_s) + GRACE
        return True
    assert following in FINAL
    _finish(task, update, at)
    return True


def progress(task: LockedTask, run: Run, update: TaskUpdate, now: datetime) -> bool:
    """Whether ``update`` says how far a release is that runs: its device is at work, so its time begins anew."""
    if run.release is None or update.phase is None:
        return False
    if task.state != TaskState.RUNNING or update.state is not TaskState.RUNNING:
        return False
    task.deadline_at = now + timedelta(seconds=run.timeout_s) + GRACE
    return True


def _finish(task: LockedTask, update: TaskUpdate, at: datetime) -> None:
    task.finished_at, task.deadline_at = at, None
    task.exit_code, task.signal, task.duration_s = update.exit_code, update.signal, update.duration_s
    if update.duration_s is not None and task.started_at is None:
        task.started_at = max(at - timedelta(seconds=update.duration_s), task.accepted_at or at)
    task.output_chunks = update.chunks
    task.output_lost_bytes += update.lost_bytes
    task.digest = update.digest
