"""People put into the database of a running server, signed in already, where it does not matter how they came in."""

import functools
import secrets
from datetime import timedelta

import sqlalchemy as sa
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.accounts.hashing import secret_hash
from app.accounts.models import ApiToken, Session, User
from app.accounts.permissions import Role
from app.clock import utcnow
from app.db import Database
from deployx_protocol import tokens
from tests.support import secrets_made
from tests.support.server import PASSWORD, Person


async def newcomer(db: Database, email: str, role: Role) -> Person:
    """Someone new, whose password is PASSWORD."""
    now = utcnow()
    user = User(email=email, password_hash=_hashed(), role=role, created_at=now, password_changed_at=now)
    async with db.write() as session:
        session.add(user)
    return await signed_in(db, email)


async def signed_in(db: Database, email: str) -> Person:
    """Someone who is there, with a session and an API token of their own."""
    now = utcnow()
    cookie, token = secrets_made.keep(tokens.new_secret()), secrets_made.keep(tokens.API_PREFIX + tokens.new_secret())
    async with db.write() as session:
        user_id = (await session.scalars(sa.select(User.id).where(User.email == email))).one()
        session.add(
            Session(
                id=secrets.token_hex(16),
                token_hash=secret_hash(cookie),
                user_id=user_id,
                created_at=now,
                expires_at=now + timedelta(days=1),
                last_used_at=now,
                source_ip="127.0.0.1",
                user_agent="tests",
                proven_at=now,
            )
        )
        session.add(
            ApiToken(
                id=secrets.token_hex(16),
                name="tests",
                token_hash=secret_hash(token),
                user_id=user_id,
                created_at=now,
            )
        )
    return Person(user_id, email, token, cookie)


@functools.cache
def _hashed() -> str:
    return PasswordHash((Argon2Hasher(),)).hash(PASSWORD)
