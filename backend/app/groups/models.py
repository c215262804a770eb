"""Tables of groups. A group has a selector (dynamic) or devices of its own (static), never both."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp


class Group(Base):
    """A name for devices. It belongs to a user, and never shows anyone a device that is not theirs to see."""

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
