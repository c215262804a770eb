"""Tables of deployments: what was asked and how far it is, its targets, and the log of decisions."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp
from app.devices.models import BigId, Json

_FLYING = sa.text("state IN ('downloading', 'installing', 'verifying', 'rolling_back')")
_UNFINISHED = sa.text("state IN ('awaiting_approval', 'running', 'paused', 'aborting', 'rolling_back')")


class Deployment(Base):
    """One release for many devices. Its states are ``deployx_protocol.deployments``."""

    __tablename__ = "deployments"
    __table_args__ = (
        sa.Index("ix_deployments_user_id_id", "user_id", "id"),
        sa.Index("ix_deployments_unfinished", "id", sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
        sa.UniqueConstraint("user_id", "idempotency_key", name="uq_deployments_user_id_idempotency_key"),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    """UUIDv7: later ones sort after earlier ones."""
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))
    created_by: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    """Why it is in this state, where the state alone does not say it."""
    release_name: Mapped[str] = mapped_column(sa.Text)
    release_version: Mapped[str] = mapped_column(sa.Text)
    release_number: Mapped[int] = mapped_column(sa.BigInteger)
    release_sha256: Mapped[str] = mapped_column(sa.Text, index=True)
    release_size: Mapped[int]
    release_platforms: Mapped[list[str]] = mapped_column(Json)
    release_timeout_s: Mapped[float] = mapped_column(sa.Double)
    signatures: Mapped[list[dict[str, str]]] = mapped_column(Json)
    """As they were when the deployment was made: what was approved is what is sent."""
    selector: Mapped[str | None] = mapped_column(sa.Text)
    following: Mapped[bool] = mapped_column(default=False)
    strategy: Mapped[dict[str, Any]] = mapped_column(Json)
    """``strategy.Strategy`` as JSON."""
    waves: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    """What became of each wave, ``planner.Wave`` as JSON: when it opened, since when its gate is met."""
    plan_hash: Mapped[str] = mapped_column(sa.Text)
    approval_above: Mapped[int] = mapped_column(default=0)
    """The server's setting when it was made; 0: no approval was needed."""
    decided: Mapped[str] = mapped_column(sa.Text, default="")
    """approved, rejected, or empty."""
    decided_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))
    decided_by: Mapped[str] = mapped_column(sa.Text, default="")
    decided_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    decided_note: Mapped[str] = mapped_column(sa.Text, default="")
    install_run_id: Mapped[str | None] = mapped_column(sa.ForeignKey("runs.id", ondelete="SET NULL"))
    revert_run_id: Mapped[str | None] = mapped_column(sa.ForeignKey("runs.id", ondelete="SET NULL"))
    idempotency_key: Mapped[str | None] = mapped_column(sa.Text)
    request_sha256: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    started_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    moved_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    """When its state changed last."""
    finished_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    deadline_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    excused_reverts: Mapped[int] = mapped_column(default=0)
    """How many devices had gone back for want of a server when somebody last let it go on."""
    total: Mapped[int]
    rev: Mapped[int] = mapped_column(sa.BigInteger, default=1)


class DeploymentTarget(Base):
    """A device of a deployment."""

    __tablename__ = "deployment_targets"
    __table_args__ = (
        sa.Index("ix_deployment_targets_deployment_id_wave_state", "deployment_id", "wave", "state"),
        sa.Index("ix_deployment_targets_deployment_id_position", "deployment_id", "position"),
        sa.Index("ix_deployment_targets_todo", "deployment_id", "todo", "position"),
        sa.Index("ix_deployment_targets_finished", "deployment_id", "finished_at"),
        sa.Index("ix_deployment_targets_task_id", "task_id"),
        sa.Index("ix_deployment_targets_device_id_id", "device_id", "id"),
        sa.Index(
            "uq_deployment_targets_in_flight",
            "device_id",
            "release_name",
            unique=True,
            sqlite_where=_FLYING,
            postgresql_where=_FLYING,
        ),
        sa.UniqueConstraint("deployment_id", "device_id", name="uq_deployment_targets_deployment_id_device_id"),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    """UUIDv7."""
    deployment_id: Mapped[str] = mapped_column(sa.ForeignKey("deployments.id", ondelete="CASCADE"))
    release_name: Mapped[str] = mapped_column(sa.Text)
    """As the deployment has it: a device is in flight with one release of a name at a time."""
    device_id: Mapped[int | None] = mapped_column(sa.ForeignKey("devices.id", ondelete="SET NULL"))
    device_name: Mapped[str] = mapped_column(sa.Text)
    borrowed: Mapped[bool] = mapped_column(default=False)
    """The device was not the starter's own: what was done there is shown to them only while they see the device."""
    wave: Mapped[int]
    position: Mapped[int]
    state: Mapped[str] = mapped_column(sa.Text)
    todo: Mapped[str] = mapped_column(sa.Text, default="")
    """What it is to be given next: install or revert; empty: nothing, or it has its task."""
    action: Mapped[str] = mapped_column(sa.Text, default="install")
    """Of its last task."""
    task_id: Mapped[str | None] = mapped_column(sa.Text)
    task_rev: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """Of its task, as it was read last."""
    attempts: Mapped[int] = mapped_column(default=0)
    touched: Mapped[bool] = mapped_column(default=False)
    """A task of this deployment may have changed the device."""
    phase: Mapped[str] = mapped_column(sa.Text, default="")
    percent: Mapped[int | None]
    outcome: Mapped[str] = mapped_column(sa.Text, default="")
    attention: Mapped[bool] = mapped_column(default=False)
    code: Mapped[str] = mapped_column(sa.Text, default="")
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    """Why it is in this state, where its task does not say it."""
    started_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    updated_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    rev: Mapped[int] = mapped_column(sa.BigInteger, default=1)


class DeploymentDecision(Base):
    """An entry of a deployment's log."""

    __tablename__ = "deployment_decisions"
    __table_args__ = (
        sa.Index("ix_deployment_decisions_deployment_id_id", "deployment_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    deployment_id: Mapped[str] = mapped_column(sa.ForeignKey("deployments.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UtcTimestamp)
    actor: Mapped[str] = mapped_column(sa.Text, default="")
    kind: Mapped[str] = mapped_column(sa.Text)
    text: Mapped[str] = mapped_column(sa.Text)
    wave: Mapped[int | None]
