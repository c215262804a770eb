"""Work: runs, their tasks and output, saved commands, groups of devices; what a device's agent says of itself."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TIMESTAMP = sa.TIMESTAMP(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    op.add_column("devices", sa.Column("agent_tags", JSON, nullable=False, server_default="{}"))
    op.add_column("devices", sa.Column("http_token_hash", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_devices_http_token_hash", "devices", ["http_token_hash"])
    _work()
    _groups()


def _work() -> None:
    op.create_table(
        "scripts",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_scripts"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("argv", JSON, nullable=True),
        sa.Column("shell", sa.Text(), nullable=True),
        sa.Column("script_sha256", sa.Text(), nullable=True),
        sa.Column("script_size", sa.Integer(), nullable=False),
        sa.Column("interpreter", JSON, nullable=False),
        sa.Column("args", JSON, nullable=False),
        sa.Column("run_as", sa.Text(), nullable=False),
        sa.Column("cwd", sa.Text(), nullable=False),
        sa.Column("env", JSON, nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=False),
        sa.Column("max_parallel", sa.Integer(), nullable=True),
        sa.Column("selector", sa.Text(), nullable=True),
        sa.Column("retry_of", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("output_quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("finished_at", TIMESTAMP, nullable=True),
        sa.Column("cancelled_at", TIMESTAMP, nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["script_sha256"], ["scripts.sha256"], name="fk_runs_script_sha256_scripts"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_runs_user_id_users", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("user_id", "idempotency_key", name="uq_runs_user_id_idempotency_key"),
    )
    op.create_index("ix_runs_created_at", "runs", ["created_at"])
    op.create_index("ix_runs_script_sha256", "runs", ["script_sha256"])
    op.create_index("ix_runs_user_id_id", "runs", ["user_id", "id"])
    op.create_table(
        "tasks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=True),
        sa.Column("device_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.BigInteger(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("sent_at", TIMESTAMP, nullable=True),
        sa.Column("sent_epoch", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", TIMESTAMP, nullable=True),
        sa.Column("started_at", TIMESTAMP, nullable=True),
        sa.Column("finished_at", TIMESTAMP, nullable=True),
        sa.Column("deadline_at", TIMESTAMP, nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=True),
        sa.Column("cancel_requested_at", TIMESTAMP, nullable=True),
        sa.Column("output_bytes", sa.BigInteger(), nullable=False),
        sa.Column("output_lost_bytes", sa.BigInteger(), nullable=False),
        sa.Column("output_next_seq", sa.Integer(), nullable=False),
        sa.Column("output_chunks", sa.Integer(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_tasks_device_id_devices", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_tasks_run_id_runs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
    )
    op.create_index(
        "ix_tasks_deadline_at",
        "tasks",
        ["deadline_at"],
        sqlite_where=sa.text("state IN ('queued', 'sent', 'accepted', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'sent', 'accepted', 'running')"),
    )
    op.create_index("ix_tasks_device_id_id", "tasks", ["device_id", "id"])
    op.create_index("ix_tasks_run_id_state", "tasks", ["run_id", "state"])
    op.create_index(
        "ix_tasks_waiting",
        "tasks",
        ["device_id", "id"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_table(
        "task_output",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stream", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_output_task_id_tasks", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "seq", name="pk_task_output"),
    )
    op.create_table(
        "saved_commands",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("request", JSON, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_saved_commands_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_saved_commands"),
        sa.UniqueConstraint("user_id", "name", name="uq_saved_commands_user_id_name"),
    )


def _groups() -> None:
    op.create_table(
        "groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("selector", sa.Text(), nullable=True),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_groups_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint("user_id", "name", name="uq_groups_user_id_name"),
    )
    op.create_table(
        "group_devices",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_group_devices_device_id_devices", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name="fk_group_devices_group_id_groups", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "device_id", name="pk_group_devices"),
    )
    op.create_index("ix_group_devices_device_id", "group_devices", ["device_id"])


def downgrade() -> None:
    """Drop them again."""
    for table in ("group_devices", "groups", "saved_commands", "task_output", "tasks", "runs", "scripts"):
        op.drop_table(table)
    op.drop_index("ix_devices_http_token_hash", "devices")
    op.drop_column("devices", "http_token_hash")
    op.drop_column("devices", "agent_tags")
