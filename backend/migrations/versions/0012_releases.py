"""Releases and who signed them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """There are none yet."""
    op.create_table(
        "releases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("platforms", JSON, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("artifacts_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("signatures", JSON, nullable=False),
        sa.Column("previous_sha256", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["previous_sha256"], ["releases.sha256"], name=op.f("fk_releases_previous_sha256_releases")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_releases_user_id_users"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint("name", "number", name="uq_releases_name_number"),
        sa.UniqueConstraint("name", "version", name="uq_releases_name_version"),
        sa.UniqueConstraint("sha256", name="uq_releases_sha256"),
    )
    op.create_index("ix_releases_previous_sha256", "releases", ["previous_sha256"])


def downgrade() -> None:
    """Forget them."""
    op.drop_index("ix_releases_previous_sha256", "releases")
    op.drop_table("releases")
