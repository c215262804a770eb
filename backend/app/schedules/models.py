"""Tables of schedules and of what came of each of their times.

Invariant: a schedule has one firing for each of its times, whoever writes it (``uq_firings_schedule_id_due_at``).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp
from app.devices.models import Json


class ScheduleState(StrEnum):
    """Whether a schedule has a next time."""

    ACTIVE = "active"
    PAUSED = "paused"  # somebody stopped it; times that pass meanwhile are not made up for
    DONE = "done"  # it has no time left


class FiringState(StrEnum):
    """What came of one time of a schedule. All but the first are final."""

    STARTING = "starting"  # it is due, and is being started; any server may finish that
    STARTED = "started"
    REFUSED = "refused"  # it could not be started: ``reason`` says why
    SKIPPED = "skipped"  # what was started before was not over
    MISSED = "missed"  # no server was there in time


class Schedule(Base):
    """What is to be started, and when. It acts for ``user_id``, with what they may do at that time."""

    __tablename__ = "schedules"
    __table_args__ = (
        sa.UniqueConstraint("user_id", "name", name="uq_schedules_user_id_name"),
        sa.Index("ix_schedules_next_due_at", "next_due_at"),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.Text)
    action: Mapped[dict[str, Any]] = mapped_column(Json)
    """An ``actions.Action`` as JSON: its ``kind``, and the request that it sends each time."""
    at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    """Its only time. Exactly one of ``at`` and ``cron`` is set."""
    cron: Mapped[str | None] = mapped_column(sa.Text)
    timezone: Mapped[str] = mapped_column(sa.Text)
    """An IANA name, in which ``cron`` and ``windows`` are read."""
    windows: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    missed: Mapped[str] = mapped_column(sa.Text)
    grace_s: Mapped[int]
    overlap: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.Text)
    next_due_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    """None unless it is active."""
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    updated_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    rev: Mapped[int] = mapped_column(sa.BigInteger, default=1)


class Firing(Base):
    """One time of a schedule, or one start by hand."""

    __tablename__ = "firings"
    __table_args__ = (
        sa.UniqueConstraint("schedule_id", "due_at", name="uq_firings_schedule_id_due_at"),
        sa.UniqueConstraint("schedule_id", "request_key", name="uq_firings_schedule_id_request_key"),
        sa.Index("ix_firings_due_at", "due_at"),
        sa.Index(
            "ix_firings_starting",
            "id",
            sqlite_where=sa.text("state = 'starting'"),
            postgresql_where=sa.text("state = 'starting'"),
        ),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    """UUIDv7. What it starts is started under a key made of this, so that it is started once."""
    schedule_id: Mapped[str] = mapped_column(sa.ForeignKey("schedules.id", ondelete="CASCADE"))
    due_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    claimed_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    by_hand: Mapped[bool] = mapped_column(default=False)
    request_key: Mapped[str | None] = mapped_column(sa.Text)
    """The idempotency key of whoever started it by hand."""
    state: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    missed: Mapped[int] = mapped_column(default=0)
    """How many times this row stands for, where they were missed: ``due_at`` is the last of them."""
    run_id: Mapped[str | None] = mapped_column(sa.Text)
    """What it started, as long as that is kept."""
    deployment_id: Mapped[str | None] = mapped_column(sa.Text)
