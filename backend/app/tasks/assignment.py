"""A task as its agent is told it: from the rows of task and run to `task_assigned`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from app.tasks import lifecycle
from app.tasks.models import Run
from deployx_protocol import limits, task_messages
from deployx_protocol.dsse import Envelope
from deployx_protocol.task_messages import ReleaseOrder, Script, TaskAssigned

MESSAGE_MAX_BYTES = limits.AGENT_MESSAGE_MAX_BYTES - 1_024
"""Of the tasks in one message; the rest is room for the event's name and what the transport adds."""
_EVERY_DEVICE_BYTES = 4 * limits.AGENT_ID_MAX + 256
"""What ids, seconds and flags add at most to a task whose request alone was measured."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a run asks of each of its devices, put together once for all of them. ``fits``: whether it can be sent, as
    it is or with any other device; JSON may write one byte as six."""

    run: Run
    fits: bool
    _asked: dict[str, Any]

    @classmethod
    def of(cls, run: Run) -> "Request":
        """What ``run`` asks."""
        asked = {
            "argv": run.argv,
            "shell": run.shell,
            "script": _script(run),
            "release": _release(run),
            "run_as": run.run_as,
            "cwd": run.cwd,
            "env": run.env,
            "timeout_s": run.timeout_s,
            "output_quota_bytes": run.output_quota_bytes,
            "envelope": _envelope(run),
        }
        return cls(run, fits(run), asked)

    def message(
        self, task_id: str, agent_id: str, *, created_at: datetime, known: bool, now: datetime
    ) -> task_messages.Task:
        """The task ``task_id``, for the agent ``agent_id``."""
        left_s = max(0.0, (lifecycle.expires_at(self.run, created_at) - now).total_seconds())
        return task_messages.Task(task_id=task_id, agent_id=agent_id, expires_in_s=left_s, known=known, **self._asked)


def _script(run: Run) -> Script | None:
    if run.script_sha256 is None:
        return None
    return Script(sha256=run.script_sha256, size=run.script_size, interpreter=run.interpreter, args=run.args)


def _release(run: Run) -> ReleaseOrder | None:
    return None if run.release is None else msgspec.convert(run.release, ReleaseOrder)


def _envelope(run: Run) -> Envelope | None:
    return None if run.envelope is None else msgspec.convert(run.envelope, Envelope)


def size(value: task_messages.Task) -> int:
    """Of its JSON, in bytes."""
    return len(msgspec.json.encode(value))


def fits(run: Run) -> bool:
    """Whether a task of ``run`` fits a message, whichever device it is for. JSON may write one byte as six."""
    request = [run.argv, run.shell, _script(run), run.run_as, run.cwd, run.env, run.envelope, run.release]
    return len(msgspec.json.encode(request)) + _EVERY_DEVICE_BYTES <= MESSAGE_MAX_BYTES


def batches(tasks: Iterable[task_messages.Task]) -> Iterator[TaskAssigned]:
    """``tasks`` in their order, in as few messages as fit. Each of them fits one by itself (``fits``)."""
    if isinstance(tasks, list) and len(tasks) == 1:
        yield TaskAssigned(tasks=tasks)
        return
    batch: list[task_messages.Task] = []
    filled = 0
    for task in tasks:
        needed = size(task) + 1
        if batch and filled + needed > MESSAGE_MAX_BYTES:
            yield TaskAssigned(tasks=batch)
            batch, filled = [], 0
        batch.append(task)
        filled += needed
    if batch:
        yield TaskAssigned(tasks=batch)
