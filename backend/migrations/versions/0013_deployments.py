"""Deployments, their targets and decisions; runs whose tasks have a release, and how far those tasks are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TIMESTAMP = sa.TIMESTAMP(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FLYING = sa.text("state IN ('downloading', 'installing', 'verifying', 'rolling_back')")
UNFINISHED = sa.text("state IN ('awaiting_approval', 'running', 'paused', 'aborting', 'rolling_back')")

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    op.add_column("runs", sa.Column("release", JSON, nullable=True))
    op.add_column("runs", sa.Column("release_sha256", sa.Text(), nullable=True))
    op.create_index("ix_runs_release_sha256", "runs", ["release_sha256"])
    op.create_table(
        "task_releases",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_releases_task_id_tasks", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", name="pk_task_releases"),
    )
    _deployments()
    _targets()
    op.create_table(
        "deployment_decisions",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_deployment_decisions_deployment_id_deployments",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deployment_decisions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deployment_decisions_deployment_id_id", "deployment_decisions", ["deployment_id", "id"])


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("release_name", sa.Text(), nullable=False),
        sa.Column("release_version", sa.Text(), nullable=False),
        sa.Column("release_number", sa.BigInteger(), nullable=False),
        sa.Column("release_sha256", sa.Text(), nullable=False),
        sa.Column("release_size", sa.Integer(), nullable=False),
        sa.Column("release_platforms", JSON, nullable=False),
        sa.Column("release_timeout_s", sa.Double(), nullable=False),
        sa.Column("signatures", JSON, nullable=False),
        sa.Column("selector", sa.Text(), nullable=True),
        sa.Column("following", sa.Boolean(), nullable=False),
        sa.Column("strategy", JSON, nullable=False),
        sa.Column("waves", JSON, nullable=False),
        sa.Column("plan_hash", sa.Text(), nullable=False),
        sa.Column("approval_above", sa.Integer(), nullable=False),
        sa.Column("decided", sa.Text(), nullable=False),
        sa.Column("decided_by_id", sa.Integer(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", TIMESTAMP, nullable=True),
        sa.Column("decided_note", sa.Text(), nullable=False),
        sa.Column("install_run_id", sa.Text(), nullable=True),
        sa.Column("revert_run_id", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=True),
        sa.Column("moved_at", TIMESTAMP, nullable=False),
        sa.Column("finished_at", TIMESTAMP, nullable=True),
        sa.Column("deadline_at", TIMESTAMP, nullable=True),
        sa.Column("excused_reverts", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["decided_by_id"], ["users.id"], name="fk_deployments_decided_by_id_users", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["install_run_id"], ["runs.id"], name="fk_deployments_install_run_id_runs", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["revert_run_id"], ["runs.id"], name="fk_deployments_revert_run_id_runs", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_deployments_user_id_users", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
        sa.UniqueConstraint("user_id", "idempotency_key", name="uq_deployments_user_id_idempotency_key"),
    )
    op.create_index("ix_deployments_release_sha256", "deployments", ["release_sha256"])
    op.create_index("ix_deployments_user_id_id", "deployments", ["user_id", "id"])
    op.create_index(
        "ix_deployments_unfinished", "deployments", ["id"], sqlite_where=UNFINISHED, postgresql_where=UNFINISHED
    )


def _targets() -> None:
    op.create_table(
        "deployment_targets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("release_name", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=True),
        sa.Column("device_name", sa.Text(), nullable=False),
        sa.Column("borrowed", sa.Boolean(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("todo", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=True),
        sa.Column("task_rev", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("attention", sa.Boolean(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=True),
        sa.Column("finished_at", TIMESTAMP, nullable=True),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_deployment_targets_deployment_id_deployments",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_deployment_targets_device_id_devices", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deployment_targets"),
        sa.UniqueConstraint("deployment_id", "device_id", name="uq_deployment_targets_deployment_id_device_id"),
    )
    table = "deployment_targets"
    op.create_index("ix_deployment_targets_deployment_id_wave_state", table, ["deployment_id", "wave", "state"])
    op.create_index("ix_deployment_targets_deployment_id_position", table, ["deployment_id", "position"])
    op.create_index("ix_deployment_targets_todo", table, ["deployment_id", "todo", "position"])
    op.create_index("ix_deployment_targets_finished", table, ["deployment_id", "finished_at"])
    op.create_index("ix_deployment_targets_task_id", table, ["task_id"])
    op.create_index("ix_deployment_targets_device_id_id", table, ["device_id", "id"])
    op.create_index(
        "uq_deployment_targets_in_flight",
        table,
        ["device_id", "release_name"],
        unique=True,
        sqlite_where=FLYING,
        postgresql_where=FLYING,
    )


def downgrade() -> None:
    """Drop them again."""
    for table in ("deployment_decisions", "deployment_targets", "deployments", "task_releases"):
        op.drop_table(table)
    op.drop_index("ix_runs_release_sha256", "runs")
    op.drop_column("runs", "release_sha256")
    op.drop_column("runs", "release")
