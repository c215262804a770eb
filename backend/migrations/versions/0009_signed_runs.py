"""What operators have signed, and what machines report of their policies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs that are there are not signed; policies come with the next registrations."""
    op.add_column("devices", sa.Column("policy", sa.Text(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("envelope", JSON, nullable=True))
    op.add_column("runs", sa.Column("signed_by", JSON, nullable=True))
    op.add_column("runs", sa.Column("signed_number", sa.Text(), nullable=True))
    op.create_index("uq_runs_signed_number", "runs", ["signed_number"], unique=True)


def downgrade() -> None:
    """Forget them."""
    op.drop_index("uq_runs_signed_number", "runs")
    for column in ("signed_number", "signed_by", "envelope"):
        op.drop_column("runs", column)
    op.drop_column("devices", "policy")
