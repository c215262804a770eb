"""Tables of work: scripts, runs, the task of each device, what the tasks printed, and commands that people keep.

A run of the kind *deployment* belongs to a deployment, which adds tasks to it as it goes; lists of runs leave it out.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp
from app.devices.models import Json

_UNFINISHED = sa.text("state IN ('queued', 'sent', 'accepted', 'running')")


class Script(Base):
    """A script, stored once. ``sha256`` is of its bytes, hexadecimal."""

    __tablename__ = "scripts"

    sha256: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)


class Run(Base):
    """One request: what to do, and for whom. Its tasks are made with it, in one transaction."""

    __tablename__ = "runs"
    __table_args__ = (
        sa.Index("ix_runs_user_id_id", "user_id", "id"),
        sa.Index("ix_runs_created_at", "created_at"),
        sa.UniqueConstraint("user_id", "idempotency_key", name="uq_runs_user_id_idempotency_key"),
        sa.Index("uq_runs_signed_number", "signed_number", unique=True),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    """UUIDv7: later runs sort after earlier ones."""
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))
    created_by: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)
    """command, shell or script; or deployment."""
    title: Mapped[str] = mapped_column(sa.Text)
    argv: Mapped[list[str] | None] = mapped_column(Json)
    shell: Mapped[str | None] = mapped_column(sa.Text)
    script_sha256: Mapped[str | None] = mapped_column(sa.ForeignKey("scripts.sha256"), index=True)
    script_size: Mapped[int] = mapped_column(default=0)
    release: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """What its tasks do with which release, ``ReleaseOrder`` as JSON; None: they are no release's."""
    release_sha256: Mapped[str | None] = mapped_column(sa.Text, index=True)
    """Of that release's payload, hexadecimal."""
    interpreter: Mapped[list[str]] = mapped_column(Json, default=list)
    args: Mapped[list[str]] = mapped_column(Json, default=list)
    run_as: Mapped[str] = mapped_column(sa.Text, default="")
    cwd: Mapped[str] = mapped_column(sa.Text, default="")
    env: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    timeout_s: Mapped[float] = mapped_column(sa.Double)
    max_parallel: Mapped[int | None]
    """How many of its tasks may be in flight at once; None: as many as there are."""
    selector: Mapped[str | None] = mapped_column(sa.Text)
    retry_of: Mapped[str | None] = mapped_column(sa.Text)
    idempotency_key: Mapped[str | None] = mapped_column(sa.Text)
    request_sha256: Mapped[str] = mapped_column(sa.Text, default="")
    """Of the whole request: a key that comes back with another request is refused."""
    output_quota_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    envelope: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """What operators have signed, as each device gets it; None if nobody has."""
    signed_by: Mapped[list[dict[str, str]] | None] = mapped_column(Json)
    signed_number: Mapped[str | None] = mapped_column(sa.Text)
    """What makes it good for one run alone."""
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    expires_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    total: Mapped[int]
    rev: Mapped[int] = mapped_column(sa.BigInteger, default=1)


class Task(Base):
    """What one device is asked to do. Its states are ``deployx_protocol.tasks``."""

    __tablename__ = "tasks"
    __table_args__ = (
        sa.Index("ix_tasks_run_id_state", "run_id", "state"),
        sa.Index("ix_tasks_device_id_id", "device_id", "id"),
        sa.Index(
            "ix_tasks_unfinished",
            "device_id",
            "id",
            sqlite_where=_UNFINISHED,
            postgresql_where=_UNFINISHED,
        ),
        sa.Index(
            "ix_tasks_deadline_at",
            "deadline_at",
            sqlite_where=_UNFINISHED,
            postgresql_where=_UNFINISHED,
        ),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    """UUIDv7: a device's backlog runs in the order of its ids."""
    run_id: Mapped[str] = mapped_column(sa.ForeignKey("runs.id", ondelete="CASCADE"))
    device_id: Mapped[int | None] = mapped_column(sa.ForeignKey("devices.id", ondelete="SET NULL"))
    device_name: Mapped[str] = mapped_column(sa.Text)
    borrowed: Mapped[bool] = mapped_column(default=False)
    """The device was not the starter's own: what it did there is shown to them only while they see the device."""
    state: Mapped[str] = mapped_column(sa.Text)
    code: Mapped[str] = mapped_column(sa.Text, default="")
    message: Mapped[str] = mapped_column(sa.Text, default="")
    exit_code: Mapped[int | None] = mapped_column(sa.BigInteger)
    signal: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    sent_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    sent_epoch: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """The device's session for which it was claimed."""
    accepted_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    started_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    deadline_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    """When the reaper ends the state it is in; None once it is final."""
    duration_s: Mapped[float | None] = mapped_column(sa.Double)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    output_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    output_lost_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    output_next_seq: Mapped[int] = mapped_column(default=0)
    """Chunks below this one came, without a gap. One past the quota is counted and not stored."""
    output_chunks: Mapped[int | None]
    """How many there are, once the agent has said so."""
    digest: Mapped[str] = mapped_column(sa.Text, default="")
    output_deleted_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    """When its output was deleted to keep to the retention; ``output_bytes`` still says how much it was."""
    rev: Mapped[int] = mapped_column(sa.BigInteger, default=1)


class TaskRelease(Base):
    """How far the task of a release is, and what became of it: beside its row, so that other tasks do not carry it."""

    __tablename__ = "task_releases"

    task_id: Mapped[str] = mapped_column(sa.ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    phase: Mapped[str] = mapped_column(sa.Text, default="")
    percent: Mapped[int | None]
    outcome: Mapped[str] = mapped_column(sa.Text, default="")


class TaskOutput(Base):
    """One chunk of what a task printed, byte for byte. ``stream`` is 1 (stdout) or 2 (stderr)."""

    __tablename__ = "task_output"

    task_id: Mapped[str] = mapped_column(sa.ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    stream: Mapped[int] = mapped_column(sa.SmallInteger)
    data: Mapped[bytes] = mapped_column(sa.LargeBinary)


class SavedCommand(Base):
    """A command that its user keeps: the body of a run request, without its targets."""

    __tablename__ = "saved_commands"
    __table_args__ = (sa.UniqueConstraint("user_id", "name", name="uq_saved_commands_user_id_name"),)

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.Text)
    request: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
