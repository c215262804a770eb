"""The table of releases. A row is the payload as it was signed, and what is asked of it often enough to have a column.

Invariant: a payload never changes; only signatures are added.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp
from app.devices.models import Json


class Release(Base):
    """A release."""

    __tablename__ = "releases"
    __table_args__ = (
        sa.UniqueConstraint("name", "number", name="uq_releases_name_number"),
        sa.UniqueConstraint("name", "version", name="uq_releases_name_version"),
        sa.UniqueConstraint("sha256", name="uq_releases_sha256"),
    )

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    """UUIDv7: later releases sort after earlier ones."""
    name: Mapped[str] = mapped_column(sa.Text)
    version: Mapped[str] = mapped_column(sa.Text)
    number: Mapped[int] = mapped_column(sa.BigInteger)
    kind: Mapped[str] = mapped_column(sa.Text)
    platforms: Mapped[list[str]] = mapped_column(Json)
    description: Mapped[str] = mapped_column(sa.Text)
    artifacts_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    """Of all its artifacts together."""
    sha256: Mapped[str] = mapped_column(sa.Text)
    """Of the payload, hexadecimal: its name wherever a device or another release names it."""
    size: Mapped[int]
    payload: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    signatures: Mapped[list[dict[str, str]]] = mapped_column(Json)
    """As in a DSSE envelope, each key once. Nobody has verified them here."""
    previous_sha256: Mapped[str | None] = mapped_column(sa.ForeignKey("releases.sha256"), index=True)
    """The release that a device goes back to; it cannot be deleted before this one."""
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))
    created_by: Mapped[str] = mapped_column(sa.Text)
    """The e-mail address of who brought it here."""
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
