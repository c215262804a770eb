"""Tables of the record. Nothing updates or deletes an entry, but the retention that says so in an entry of its own."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp


class AuditEntry(Base):
    """One thing that was done. ``hash`` covers every other column, and by ``prev_hash`` every entry before it."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        sa.Index("ix_audit_entries_action_seq", "action", "seq"),
        sa.Index("ix_audit_entries_actor_seq", "actor", "seq"),
        sa.Index("ix_audit_entries_object_kind_object_id_seq", "object_kind", "object_id", "seq"),
    )

    seq: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    at: Mapped[datetime] = mapped_column(UtcTimestamp, index=True)
    actor_kind: Mapped[str] = mapped_column(sa.Text)
    actor: Mapped[str] = mapped_column(sa.Text)
    actor_id: Mapped[int | None]
    via: Mapped[str] = mapped_column(sa.Text)
    source_ip: Mapped[str] = mapped_column(sa.Text)
    action: Mapped[str] = mapped_column(sa.Text)
    object_kind: Mapped[str] = mapped_column(sa.Text)
    object_id: Mapped[str] = mapped_column(sa.Text)
    object_name: Mapped[str] = mapped_column(sa.Text)
    details: Mapped[str] = mapped_column(sa.Text)  # canonical JSON, an object
    prev_hash: Mapped[str] = mapped_column(sa.Text)
    hash: Mapped[str] = mapped_column(sa.Text)


class AuditHead(Base):
    """Where the chain ends: one row, which whoever appends locks last."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    hash: Mapped[str] = mapped_column(sa.Text)
