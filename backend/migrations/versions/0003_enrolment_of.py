"""Find the devices and claims of an enrolment token: to show them, and to let go of a token that is forgotten."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = ("devices", "claims")


def upgrade() -> None:
    """Index what refers to a token."""
    for table in _TABLES:
        op.create_index(f"ix_{table}_enrollment_token_id", table, ["enrollment_token_id"])


def downgrade() -> None:
    """Drop both indexes."""
    for table in _TABLES:
        op.drop_index(f"ix_{table}_enrollment_token_id", table)
