"""The life of a task, which both ends share: its states, what moves it, and one table.

A task is everything a device is asked to do: one durable row for one request and one device.

Invariant: after ``sent`` only the agent's word ends a task, or ``lost``. A final state never changes again, but for
``lost`` by silence: an agent that comes back with a result corrects it.
"""

from enum import StrEnum
from typing import Final


class TaskState(StrEnum):
    """The column ``tasks.state``."""

    QUEUED = "queued"  # saved; the device is away, or others go first
    SENT = "sent"  # handed to the device's connection; no receipt yet
    ACCEPTED = "accepted"  # in the agent's journal
    RUNNING = "running"  # journalled as started, then started
    SUCCEEDED = "succeeded"  # exit code 0
    FAILED = "failed"  # another exit code or a signal, or it could not start: `code` says why
    TIMED_OUT = "timed_out"  # ended by the agent after `timeout_s`
    CANCELLED = "cancelled"  # someone called it off
    INTERRUPTED = "interrupted"  # the agent or its machine stopped while it ran; never run again by itself
    EXPIRED = "expired"  # it was not started in time, and never will be
    LOST = "lost"  # nobody can say: silent past its deadline, or the agent's journal is gone


FINAL: Final = frozenset(
    {
        TaskState.SUCCEEDED,
        TaskState.FAILED,
        TaskState.TIMED_OUT,
        TaskState.CANCELLED,
        TaskState.INTERRUPTED,
        TaskState.EXPIRED,
        TaskState.LOST,
    }
)
IN_FLIGHT: Final = frozenset({TaskState.SENT, TaskState.ACCEPTED, TaskState.RUNNING})
REPORTED: Final = frozenset(TaskState) - {TaskState.QUEUED, TaskState.SENT}
"""What an agent may say about a task."""


class TaskEvent(StrEnum):
    """What moves a task. The first five are the server's, the rest what an agent reports, named as its state."""

    SEND = "send"  # its device's connection takes it
    EXPIRE = "expire"  # its time to start is over before it was sent
    CANCEL = "cancel"  # called off before it was sent
    GO_SILENT = "go_silent"  # no word past its deadline
    FORGET = "forget"  # the agent's journal is new or was put back to an earlier time
    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    EXPIRED = "expired"
    LOST = "lost"  # the agent was told that it has this task, and does not


class IllegalTransition(ValueError):
    """A task in this state does not take this event."""

    def __init__(self, state: TaskState, event: TaskEvent) -> None:
        super().__init__(f"A task that is {state.value} does not take {event.value}.")
        self.state = state
        self.event = event


_ENDS = (
    TaskEvent.SUCCEEDED,
    TaskEvent.FAILED,
    TaskEvent.TIMED_OUT,
    TaskEvent.CANCELLED,
    TaskEvent.INTERRUPTED,
    TaskEvent.EXPIRED,
    TaskEvent.LOST,
)


def _agent_says(state: TaskState, *events: TaskEvent) -> dict[tuple[TaskState, TaskEvent], TaskState]:
    return {(state, event): TaskState(event.value) for event in events}


TRANSITIONS: Final[dict[tuple[TaskState, TaskEvent], TaskState]] = {
    (TaskState.QUEUED, TaskEvent.SEND): TaskState.SENT,
    (TaskState.QUEUED, TaskEvent.EXPIRE): TaskState.EXPIRED,
    (TaskState.QUEUED, TaskEvent.CANCEL): TaskState.CANCELLED,
    (TaskState.SENT, TaskEvent.GO_SILENT): TaskState.LOST,
    (TaskState.SENT, TaskEvent.FORGET): TaskState.LOST,
    (TaskState.ACCEPTED, TaskEvent.GO_SILENT): TaskState.LOST,
    (TaskState.ACCEPTED, TaskEvent.FORGET): TaskState.LOST,
    (TaskState.RUNNING, TaskEvent.GO_SILENT): TaskState.LOST,
    (TaskState.RUNNING, TaskEvent.FORGET): TaskState.LOST,
    **_agent_says(TaskState.SENT, TaskEvent.ACCEPTED, TaskEvent.RUNNING, *_ENDS),
    **_agent_says(TaskState.ACCEPTED, TaskEvent.RUNNING, *_ENDS),
    **_agent_says(TaskState.RUNNING, *_ENDS),
    **_agent_says(
        TaskState.LOST, TaskEvent.ACCEPTED, TaskEvent.RUNNING, *(e for e in _ENDS if e is not TaskEvent.LOST)
    ),
}
"""State and event → the next state. What is not here does not happen; a repeated report is no event.

The row of ``lost`` holds for a task that went silent. One whose journal is gone takes nothing more: whoever speaks
about it speaks from an earlier time.
"""


def advance(state: TaskState, event: TaskEvent) -> TaskState:
    """The state after ``event``. Raises IllegalTransition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


class TaskCode(StrEnum):
    """The `code` of a task: why it is what it is, when its state does not say it all."""

    NONE = ""
    # lost
    SILENT = "silent"  # lost: no word past its deadline; a late result corrects it
    JOURNAL_NEW = "journal_new"  # lost: the agent has a new journal
    JOURNAL_RESTORED = "journal_restored"  # lost: the agent's state was put back to an earlier time
    NOT_IN_JOURNAL = "not_in_journal"  # lost: the agent does not have what it had accepted
    DEVICE_DELETED = "device_deleted"  # lost, or cancelled before it was sent: someone deleted the device
    # cancelled before it started; of a task in flight: it is to be, unless it has started
    WITHDRAWN = "withdrawn"  # what it belongs to was stopped, and may ask for it again
    # failed before it started
    COMMAND_NOT_FOUND = "command_not_found"  # failed: there is no such program
    INTERPRETER_NOT_FOUND = "interpreter_not_found"  # failed: there is no such interpreter
    CWD_NOT_FOUND = "cwd_not_found"  # failed: there is no such folder
    USER_NOT_FOUND = "user_not_found"  # failed: there is no such user
    NOT_PERMITTED = "not_permitted"  # failed: the agent may not run this, or not as this user
    SCRIPT_UNAVAILABLE = "script_unavailable"  # failed: the script could not be fetched
    DISK_FULL = "disk_full"  # failed: the disk has no room for the journal and the output
    START_FAILED = "start_failed"  # failed: the system did not start it
    WRONG_DEVICE = "wrong_device"  # failed: the task names another agent than the one that got it
    WATCH_ONLY = "watch_only"  # failed: the agent was started to watch its machine, and runs nothing
    # failed before anything was changed: the release
    RELEASE_UNREADABLE = "release_unreadable"  # failed: its payload is damaged, or no release
    RELEASE_OLDER = "release_older"  # failed: the device has had a later one of this name
    RELEASE_UNAVAILABLE = "release_unavailable"  # failed: the release, or an artifact, could not be fetched
    RELEASE_UNTRUSTED = "release_untrusted"  # failed: the update metadata does not vouch for this version of the agent
    RELEASE_UNFIT = "release_unfit"  # failed: not for this machine, or it could not be undone here
    # failed, timed out, cancelled or interrupted, with something changed: `outcome` says what is on the device now
    RELEASE_FAILED = "release_failed"  # failed: a step of it failed, or it is not there afterwards
    RELEASE_UNHEALTHY = "release_unhealthy"  # failed: its health check did not succeed in time
    RELEASE_UNCONFIRMED = "release_unconfirmed"  # failed: no server could be reached after it
    # failed before it started: the machine's policy, which is not the server's to change, does not let it run
    POLICY_UNUSABLE = "policy_unusable"  # failed: the policy file cannot be read or used, so nothing runs
    POLICY_STOP = "policy_stop"  # failed: someone on the machine has stopped all work
    POLICY_HOURS = "policy_hours"  # failed: nothing starts at this hour
    POLICY_FORBIDS = "policy_forbids"  # failed: not this command, script, user or time-out
    POLICY_UNSIGNED = "policy_unsigned"  # failed: it needs an operator's signature, and has none
    POLICY_SIGNATURE = "policy_signature"  # failed: its signature is not good, or was made for something else
    # interrupted
    AGENT_STOPPED = "agent_stopped"  # interrupted: the agent was stopped while it ran
    AGENT_KILLED = "agent_killed"  # interrupted: the agent or its machine ended without notice while it ran


REFUSED_BY_POLICY: Final = frozenset(code for code in TaskCode if code.startswith("policy_"))
"""A machine refused the task because of its policy; it did not run."""
