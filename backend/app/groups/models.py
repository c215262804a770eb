"""Tables of groups. A group has a selector (dynamic) or devices of its own (static), never both.

Whoever is a member of a group sees its devices as far as they belong to the group's owner: ``devices.scope``.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp


class Group(Base):
    """A name for devices. It belongs to a user, and never shows anyone a device that is not its owner's to show."""

    __tablename__ = "groups"
    __table_args__ = (sa.UniqueConstraint("user_id", "name", name="uq_groups_user_id_name"),)

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.Text)
    selector: Mapped[str | None] = mapped_column(sa.Text)
    """None: the group has the devices of ``group_devices``."""
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)


class GroupDevice(Base):
    """A device in a static group."""

    __tablename__ = "group_devices"

    group_id: Mapped[str] = mapped_column(sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    device_id: Mapped[int] = mapped_column(
        sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )


class GroupMember(Base):
    """Somebody with whom the owner of a group shares its devices. ``role`` is a ``MemberRole``."""

    __tablename__ = "group_members"

    group_id: Mapped[str] = mapped_column(sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    role: Mapped[str] = mapped_column(sa.Text)
    added_at: Mapped[datetime] = mapped_column(UtcTimestamp)
