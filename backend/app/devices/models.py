"""Tables of devices: the specification's ``devices`` with what identity and presence add, and what surrounds it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp

Json = sa.JSON().with_variant(JSONB(), "postgresql")
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Device(Base):
    """One machine. The specification's columns come first; no index has ``last_seen``, so heartbeats stay cheap."""

    __tablename__ = "devices"
    __table_args__ = (
        sa.Index("ix_devices_user_id", "user_id"),
        sa.Index("ix_devices_enrollment_token_id", "enrollment_token_id"),
        sa.Index("ix_devices_node_id_status", "node_id", "status"),
        {"sqlite_autoincrement": True, "postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(sa.Text, unique=True)
    device_name: Mapped[str] = mapped_column(sa.Text)
    hostname: Mapped[str] = mapped_column(sa.Text)
    platform: Mapped[str] = mapped_column(sa.Text)
    ip_address: Mapped[str] = mapped_column(sa.Text)
    machine_id: Mapped[str] = mapped_column(sa.Text, unique=True)
    status: Mapped[str] = mapped_column(sa.Text)
    last_seen: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))

    source_ip: Mapped[str] = mapped_column(sa.Text)
    public_key: Mapped[str | None] = mapped_column(sa.Text, unique=True)
    trust: Mapped[str] = mapped_column(sa.Text)
    trust_reason: Mapped[str] = mapped_column(sa.Text, default="")
    enrollment_token_id: Mapped[str | None] = mapped_column(sa.ForeignKey("enrollment_tokens.id", ondelete="SET NULL"))
    agent_version: Mapped[str] = mapped_column(sa.Text, default="")
    protocol: Mapped[int] = mapped_column(default=0)
    facts: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    fingerprint: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    tags: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    agent_tags: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    """What the agent's settings say; where ``tags`` has the same key, ``tags`` counts."""
    policy: Mapped[str] = mapped_column(sa.Text, default="")
    """What it reports of its policy, ``deployx_protocol.policy.PolicyReport`` as JSON; empty if it has none."""
    http_token_hash: Mapped[str] = mapped_column(sa.Text, default="", index=True)
    """SHA-256 of what the newest session authenticates with over HTTP; empty without one."""
    journal_id: Mapped[str] = mapped_column(sa.Text, default="")
    journal_high_water: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    generation: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """The last generation that the agent confirmed."""
    generation_issued: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """The last generation that was handed out."""
    generation_forks: Mapped[list[list[int]]] = mapped_column(Json, default=list)
    """Ranges of generations that were left behind; whoever presents one is a second copy."""
    boot_id: Mapped[str] = mapped_column(sa.Text, default="")
    session_epoch: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    node_id: Mapped[str | None] = mapped_column(sa.Text)
    status_cause: Mapped[str | None] = mapped_column(sa.Text)
    status_detail: Mapped[str] = mapped_column(sa.Text, default="")
    status_since: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    rev: Mapped[int] = mapped_column(sa.BigInteger, default=1)


class Claim(Base):
    """An identity in conflict. It holds what the claimant says; the device it is about stays untouched."""

    __tablename__ = "claims"
    __table_args__ = (
        sa.Index("ix_claims_device_id_state", "device_id", "state"),
        sa.Index("ix_claims_public_key", "public_key"),
        sa.Index("ix_claims_enrollment_token_id", "enrollment_token_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.Text)
    """open, accepted, rejected, moved, splitting (answered, the copy has not heard it yet) or split."""
    device_id: Mapped[int] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"))
    public_key: Mapped[str | None] = mapped_column(sa.Text)
    boot_id: Mapped[str] = mapped_column(sa.Text, default="")
    holder_boot_id: Mapped[str] = mapped_column(sa.Text, default="")
    agent_id: Mapped[str] = mapped_column(sa.Text)
    machine_id: Mapped[str] = mapped_column(sa.Text)
    hostname: Mapped[str] = mapped_column(sa.Text)
    platform: Mapped[str] = mapped_column(sa.Text)
    ip_address: Mapped[str] = mapped_column(sa.Text)
    source_ip: Mapped[str] = mapped_column(sa.Text)
    agent_version: Mapped[str] = mapped_column(sa.Text, default="")
    fingerprint: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    facts: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    detail: Mapped[str] = mapped_column(sa.Text, default="")
    node_id: Mapped[str | None] = mapped_column(sa.Text)
    """At which node the claimant waits for the answer."""
    trust_before: Mapped[str] = mapped_column(sa.Text, default="")
    """What the device's trust goes back to when the claim is answered in its favour."""
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))
    enrollment_token_id: Mapped[str | None] = mapped_column(sa.ForeignKey("enrollment_tokens.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    last_seen: Mapped[datetime] = mapped_column(UtcTimestamp)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    resolved_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))


class RefusedKey(Base):
    """A key that someone rejected. A valid enrolment token lifts the refusal."""

    __tablename__ = "refused_keys"

    public_key: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    reason: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    created_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))


class EnrollmentToken(Base):
    """A permission to enrol. ``token_hash`` is the SHA-256 of the whole token, hexadecimal."""

    __tablename__ = "enrollment_tokens"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    token_hash: Mapped[str] = mapped_column(sa.Text, unique=True)
    origin: Mapped[str] = mapped_column(sa.Text)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    max_uses: Mapped[int]
    uses: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)


class StatusEvent(Base):
    """One change of presence, with its cause."""

    __tablename__ = "status_events"
    __table_args__ = (
        sa.Index("ix_status_events_device_id_id", "device_id", "id"),
        sa.Index("ix_status_events_at", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_id: Mapped[int] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(sa.Text)
    cause: Mapped[str] = mapped_column(sa.Text)
    detail: Mapped[str] = mapped_column(sa.Text)
    source_ip: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime] = mapped_column(UtcTimestamp)


class PresenceSample(Base):
    """How many devices of one owner were online at one moment (``user_id`` 0: nobody's). Missing minutes are gaps."""

    __tablename__ = "presence_samples"

    at: Mapped[datetime] = mapped_column(UtcTimestamp, primary_key=True)
    user_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    online: Mapped[int]
    total: Mapped[int]


class Node(Base):
    """A server process and its lease, on the database's clock."""

    __tablename__ = "nodes"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    key_mark: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    """Of the key that it seals secrets with, which all of them share."""
    lease_expires_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    found_dead_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)


class Probe(Base):
    """A node's question whether a session of a device, which another node has, is alive."""

    __tablename__ = "probes"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    device_id: Mapped[int] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"))
    epoch: Mapped[int] = mapped_column(sa.BigInteger)
    asked_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    alive: Mapped[bool | None]
