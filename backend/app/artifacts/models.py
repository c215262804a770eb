"""The tables of artifacts, of what uses them, and of uploads that are under way."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp


class Artifact(Base):
    """A file in the store. ``sha256`` is of its bytes, hexadecimal; what has this row never changes."""

    __tablename__ = "artifacts"

    sha256: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    name: Mapped[str] = mapped_column(sa.Text)
    """What whoever uploaded it first called it; for people."""
    place: Mapped[str] = mapped_column(sa.Text, unique=True)
    """Where in the store it is. No two stores of the same bytes have the same place."""
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    wanted_at: Mapped[datetime] = mapped_column(UtcTimestamp, index=True)
    """When somebody last showed that they want it: by an upload, or by a release that used it until then."""


class ArtifactUse(Base):
    """A release that brings an artifact along. As long as there is one, the artifact cannot be deleted."""

    __tablename__ = "artifact_uses"

    sha256: Mapped[str] = mapped_column(sa.ForeignKey("artifacts.sha256", ondelete="RESTRICT"), primary_key=True)
    release: Mapped[str] = mapped_column(sa.Text, primary_key=True, index=True)
    """The SHA-256 of the release's payload, which is its name wherever it is named."""


class ArtifactUpload(Base):
    """An artifact that is on its way in."""

    __tablename__ = "artifact_uploads"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(sa.Text)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    name: Mapped[str] = mapped_column(sa.Text)
    received: Mapped[int] = mapped_column(sa.BigInteger)
    """How many of its bytes are on the disk for good: where the next piece begins."""
    writer: Mapped[str] = mapped_column(sa.Text)
    """The server process that takes a piece of it; empty while none does."""
    touched_at: Mapped[datetime] = mapped_column(UtcTimestamp, index=True)
    """When it last grew, or a piece of it last began."""
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
