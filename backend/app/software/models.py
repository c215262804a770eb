"""Tables of software. Machines of a fleet have mostly the same packages: each stands once, and devices point to it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp
from app.devices.models import Json


class Software(Base):
    """One version of one package. ``digest`` is of the four columns after it, and finds a row by one value."""

    __tablename__ = "software"
    __table_args__ = (
        sa.UniqueConstraint("digest", name="uq_software_digest"),
        sa.Index("ix_software_name_id", "name", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    version: Mapped[str] = mapped_column(sa.Text)
    arch: Mapped[str] = mapped_column(sa.Text)
    source: Mapped[str] = mapped_column(sa.Text)
    """A ``deployx_protocol.software.Source``."""
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)


class DeviceSoftware(Base):
    """That a device has it. The table that grows: two numbers a row, in SQLite nothing besides."""

    __tablename__ = "device_software"
    __table_args__ = (
        sa.Index("ix_device_software_software_id", "software_id"),
        {"sqlite_with_rowid": False},
    )

    device_id: Mapped[int] = mapped_column(
        sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    software_id: Mapped[int] = mapped_column(sa.ForeignKey("software.id"), primary_key=True, autoincrement=False)


class Inventory(Base):
    """What a device last reported, and when that was last known to hold."""

    __tablename__ = "inventories"

    device_id: Mapped[int] = mapped_column(
        sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    sha256: Mapped[str] = mapped_column(sa.Text)
    """Of the report as JSON: the agent asks by it whether anything has to be sent."""
    sources: Mapped[list[str]] = mapped_column(Json)
    packages: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    confirmed_at: Mapped[datetime] = mapped_column(UtcTimestamp)


SOFTWARE, DEVICE_SOFTWARE = Base.metadata.tables["software"], Base.metadata.tables["device_software"]
"""As ``among`` takes their columns."""
