"""What nodes and parts of a node tell each other after a commit: where to look, never what is true.

Invariant: whoever gets a hint reads the rows. A lost hint costs one poll interval, a forged one a query.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec


class HintKind(StrEnum):
    """What may have changed."""

    DEVICE_STATUS = "device_status"  # a device came or went
    DEVICE_ROW = "device_row"  # anything else about it
    DEVICE_REMOVED = "device_removed"  # it is gone; `user_id` is whose it was
    DEVICE_MOVED = "device_moved"  # it changed hands; `user_id` is whose it was
    DEVICES_SEEN = "devices_seen"  # heartbeats were saved
    SHARES = "shares"  # what is shared with `user_id` changed
    CLAIMS = "claims"  # open claims changed
    REGISTER_AGAIN = "register_again"  # its agent should register anew
    CLAIM_ANSWERED = "claim_answered"  # whoever waits for the answer, and its agent, should register anew
    SIGNED_OUT = "signed_out"  # sessions or tokens of `user_id` ended
    RUN = "run"  # the run `run_id` is new, or its counts changed
    RUN_OVER = "run_over"  # the last of its tasks ended; RUN says so as well
    TASK = "task"  # the task `task_id` of `run_id` changed, or has more output
    DEPLOYMENT = "deployment"  # the deployment `run_id` is new, or something of it changed
    DEPLOYMENT_TARGET = "deployment_target"  # the target `task_id` of the deployment `run_id` changed
    TASKS_WAITING = "tasks_waiting"  # the device has queued tasks to be sent
    TASKS_FOUND = "tasks_found"  # the device has a task that was given up: it is to be told whether it may still start
    TASKS_CANCELLED = "tasks_cancelled"  # the device has tasks in flight that someone called off
    SESSION_MOVED = "session_moved"  # the device has registered at another server than before
    PROBE = "probe"  # somebody asks whether the device's connection is alive
    PROBED = "probed"  # that was answered
    EVERYTHING = "everything"  # hints may have been lost: whatever is shown or waited for is to be read again


class Hint(msgspec.Struct, frozen=True):
    """One hint. Ids are 0 or empty where they mean nothing.

    ``rev`` only goes with DEVICE_REMOVED and _MOVED.
    """

    kind: HintKind
    device_id: int = 0
    user_id: int = 0
    rev: int = 0
    run_id: str = ""
    task_id: str = ""


Publish = Callable[[Sequence[Hint]], None]
