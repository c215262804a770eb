"""Tables of people. Secrets are kept as hashes only."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UtcTimestamp


class User(Base):
    """Someone who signs in. ``email`` is lower case and only has to look like an address."""

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.Text, unique=True)
    password_hash: Mapped[str] = mapped_column(sa.Text)
    role: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    password_changed_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)


class Session(Base):
    """A browser that is signed in. ``token_hash`` is the SHA-256 of the cookie's value, hexadecimal."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.Text, unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    expires_at: Mapped[datetime] = mapped_column(UtcTimestamp, index=True)
    last_used_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    source_ip: Mapped[str] = mapped_column(sa.Text)
    user_agent: Mapped[str] = mapped_column(sa.Text)
    proven_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    """When whoever sits there last showed whose it is, by signing in or when asked again."""


class ApiToken(Base):
    """A program that acts for a user. ``token_hash`` is the SHA-256 of the whole token, hexadecimal."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    token_hash: Mapped[str] = mapped_column(sa.Text, unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    expires_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    scopes: Mapped[list[str] | None] = mapped_column(
        sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    )
    """Names of ``TokenScope``; None: everything its user may."""
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)


class Invitation(Base):
    """A permission to become a user, once. ``token_hash`` is the SHA-256 of the whole token, hexadecimal."""

    __tablename__ = "invitations"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    email: Mapped[str] = mapped_column(sa.Text)
    role: Mapped[str] = mapped_column(sa.Text)
    token_hash: Mapped[str] = mapped_column(sa.Text, unique=True)
    created_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    expires_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    used_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)


class Factor(Base):
    """What someone signs in with besides the password. It counts once it is confirmed."""

    __tablename__ = "factors"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(sa.Text)
    """``totp``; a place for passkeys."""
    secret: Mapped[bytes] = mapped_column(sa.LargeBinary)
    """Sealed with the server's key."""
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    last_step: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """Of the last code that was taken: none of it or before it is taken again."""
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)


class RecoveryCode(Base):
    """Stands in for a second factor, once: it is gone when it was used. ``code_hash`` is SHA-256, hexadecimal."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(sa.Text, primary_key=True)


class SignInChallenge(Base):
    """A password was right, and the second factor is awaited. ``token_hash`` is SHA-256, hexadecimal."""

    __tablename__ = "sign_in_challenges"

    token_hash: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcTimestamp)
