"""Runs and tasks as people and dashboards see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.clock import iso, iso_or_none
from app.tasks.models import Run, Task
from app.tasks.reasons import Circumstances, explain
from deployx_protocol.task_messages import RunView, TaskView
from deployx_protocol.tasks import FINAL, TaskState


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with what its view needs besides itself."""

    task: Task
    at: Circumstances
    run_title: str
    created_by: str
    started_by_id: int | None


def run_view(run: Run, counts: Mapping[str, int]) -> RunView:
    """A run. ``counts``: task state → how many, without zeros."""
    return RunView(
        id=run.id,
        kind=run.kind,
        title=run.title,
        selector=run.selector,
        user_id=run.user_id,
        created_by=run.created_by,
        created_at=iso(run.created_at),
        finished_at=iso_or_none(run.finished_at),
        expires_at=iso(run.expires_at),
        timeout_s=run.timeout_s,
        max_parallel=run.max_parallel,
        retry_of=run.retry_of,
        total=run.total,
        counts=dict(counts),
        rev=run.rev,
    )


def request_of(run: Run, script: bytes | None) -> dict[str, Any]:
    """What a run was asked to do. The values of the environment stay where they are: they may be secrets."""
    return {
        "command": run.argv,
        "shell": run.shell,
        "script": None if script is None else script.decode(),
        "script_sha256": run.script_sha256,
        "interpreter": run.interpreter,
        "args": run.args,
        "user": run.run_as,
        "cwd": run.cwd,
        "env_names": sorted(run.env),
        "signed_by": run.signed_by or [],
        "expires_s": (run.expires_at - run.created_at).total_seconds(),
        "output_quota_bytes": run.output_quota_bytes,
        "cancelled_at": iso_or_none(run.cancelled_at),
    }


def task_view(row: TaskRow) -> TaskView:
    """A task, with the reason for its state and what happens next."""
    task = row.task
    reason, next_event = explain(task, row.at)
    return TaskView(
        id=task.id,
        run_id=task.run_id,
        device_id=task.device_id,
        device_name=task.device_name,
        state=TaskState(task.state),
        code=task.code,
        reason=reason,
        next_event=next_event,
        exit_code=task.exit_code,
        signal=task.signal,
        created_at=iso(task.created_at),
        sent_at=iso_or_none(task.sent_at),
        accepted_at=iso_or_none(task.accepted_at),
        started_at=iso_or_none(task.started_at),
        finished_at=iso_or_none(task.finished_at),
        deadline_at=iso_or_none(task.deadline_at),
        duration_s=task.duration_s,
        output_bytes=task.output_bytes,
        output_lost_bytes=task.output_lost_bytes,
        output_next_seq=task.output_next_seq,
        output_complete=output_complete(task.state, task.output_next_seq, task.output_chunks),
        output_deleted_at=iso_or_none(task.output_deleted_at),
        digest=task.digest,
        cancel_requested=task.cancel_requested_at is not None,
        rev=task.rev,
    )


def output_complete(state: str, next_seq: int, chunks: int | None) -> bool:
    """Whether no more output is expected of a task: it is over, and all that its agent announced is stored."""
    return state in FINAL and (chunks is None or next_seq >= chunks)
