"""Artifacts and their uploads."""

import sqlalchemy as sa
from alembic import op

TIMESTAMP = sa.TIMESTAMP(timezone=True)

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is stored yet."""
    op.create_table(
        "artifacts",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("wanted_at", TIMESTAMP, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_artifacts_user_id_users", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("sha256", name="pk_artifacts"),
        sa.UniqueConstraint("place", name="uq_artifacts_place"),
    )
    op.create_index("ix_artifacts_user_id", "artifacts", ["user_id"])
    op.create_index("ix_artifacts_wanted_at", "artifacts", ["wanted_at"])
    op.create_table(
        "artifact_uses",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"], ["artifacts.sha256"], name="fk_artifact_uses_sha256_artifacts", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("sha256", "release", name="pk_artifact_uses"),
    )
    op.create_index("ix_artifact_uses_release", "artifact_uses", ["release"])
    op.create_table(
        "artifact_uploads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("touched_at", TIMESTAMP, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_artifact_uploads_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_artifact_uploads"),
    )
    op.create_index("ix_artifact_uploads_user_id", "artifact_uploads", ["user_id"])
    op.create_index("ix_artifact_uploads_touched_at", "artifact_uploads", ["touched_at"])


def downgrade() -> None:
    """Forget them. Their files stay where they are."""
    op.drop_table("artifact_uploads")
    op.drop_table("artifact_uses")
    op.drop_table("artifacts")
