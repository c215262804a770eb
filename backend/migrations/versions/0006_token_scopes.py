"""What an API token may do, where it is less than what its user may."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tokens that are there keep what they have: everything."""
    scopes = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    op.add_column("api_tokens", sa.Column("scopes", scopes, nullable=True))


def downgrade() -> None:
    """Forget the scopes."""
    op.drop_column("api_tokens", "scopes")
