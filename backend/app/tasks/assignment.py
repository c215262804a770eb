"""A task as its agent is told it: from the rows of task and run to `task_assigned`."""

from collections.abc import Iterable, Iterator
from datetime import datetime

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


def message(
    task_id: str, run: Run, agent_id: str, *, created_at: datetime, known: bool, now: datetime
) -> task_messages.Task:
    """The task ``task_id`` of ``run``, for the agent ``agent_id``."""
    return task_messages.Task(
        task_id=task_id,
        agent_id=agent_id,
        argv=run.argv,
        shell=run.shell,
        script=_script(run),
        release=_release(run),
        run_as=run.run_as,
        cwd=run.cwd,
        env=run.env,
        timeout_s=run.timeout_s,
        expires_in_s=max(0.0, (lifecycle.expires_at(run, created_at) - now).total_seconds()),
        output_quota_bytes=run.output_quota_bytes,
        known=known,
        envelope=_envelope(run),
    )


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
