"""Find what is unfinished on a device, not only what is queued; say when a task's output was deleted for its age."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")
_UNFINISHED = sa.text("state IN ('queued', 'sent', 'accepted', 'running')")


def upgrade() -> None:
    """Replace the index, add the column."""
    op.drop_index("ix_tasks_waiting", "tasks")
    op.create_index(
        "ix_tasks_unfinished", "tasks", ["device_id", "id"], sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED
    )
    op.add_column("tasks", sa.Column("output_deleted_at", sa.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    """The other way round."""
    op.drop_column("tasks", "output_deleted_at")
    op.drop_index("ix_tasks_unfinished", "tasks")
    op.create_index("ix_tasks_waiting", "tasks", ["device_id", "id"], sqlite_where=_QUEUED, postgresql_where=_QUEUED)
