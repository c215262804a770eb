"""Schedules and their firings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
STARTING = sa.text("state = 'starting'")

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Both tables, without a schedule."""
    op.create_table(
        "schedules",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("action", JSON, nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True)),
        sa.Column("cron", sa.Text),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("windows", JSON, nullable=False),
        sa.Column("missed", sa.Text, nullable=False),
        sa.Column("grace_s", sa.Integer, nullable=False),
        sa.Column("overlap", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("next_due_at", sa.TIMESTAMP(timezone=True)),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("rev", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("user_id", "name", name="uq_schedules_user_id_name"),
    )
    op.create_index("ix_schedules_next_due_at", "schedules", ["next_due_at"])
    op.create_table(
        "firings",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("schedule_id", sa.Text, sa.ForeignKey("schedules.id", ondelete="CASCADE"), nullable=False),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by_hand", sa.Boolean, nullable=False),
        sa.Column("request_key", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("deployment_id", sa.Text),
        sa.UniqueConstraint("schedule_id", "due_at", name="uq_firings_schedule_id_due_at"),
        sa.UniqueConstraint("schedule_id", "request_key", name="uq_firings_schedule_id_request_key"),
    )
    op.create_index("ix_firings_due_at", "firings", ["due_at"])
    op.create_index("ix_firings_starting", "firings", ["id"], sqlite_where=STARTING, postgresql_where=STARTING)


def downgrade() -> None:
    """Forget them."""
    op.drop_table("firings")
    op.drop_table("schedules")
