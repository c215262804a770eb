"""A task as it is read under its lock, changed, and written back: without the object that maps its row.

What moves tasks along reads and writes each of them several times, hundreds at once. Making and watching a mapped
object would be most of what that costs.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from app.tasks.models import Run, Task

RUNS, TASKS = cast("sa.Table", Run.__table__), cast("sa.Table", Task.__table__)
"""A query of these gives rows; one that names as much as an attribute of the mapped classes is read as objects."""


@dataclass(slots=True, eq=False)
class LockedTask:
    """A row of ``tasks``, by the names of its columns. What is not here never changes once the task is made, but for
    what retention deletes."""

    id: str
    run_id: str
    device_id: int | None
    created_at: datetime
    state: str
    code: str
    message: str
    exit_code: int | None
    signal: int | None
    duration_s: float | None
    digest: str
    sent_at: datetime | None
    sent_epoch: int
    accepted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    cancel_requested_at: datetime | None
    output_bytes: int
    output_lost_bytes: int
    output_next_seq: int
    output_chunks: int | None


NAMES = tuple(field.name for field in fields(LockedTask))
COLUMNS: tuple[sa.ColumnElement[Any], ...] = tuple(TASKS.c[name] for name in NAMES)
"""In the order in which ``LockedTask`` takes them."""
MOVABLE = NAMES[NAMES.index("state") :]
"""What may change."""
