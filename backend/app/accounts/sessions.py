"""How a session begins."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from app.accounts import repository
from app.accounts.hashing import secret_hash
from app.accounts.models import Session, User
from app.accounts.principal import Principal
from app.audit.actions import Action
from app.uow import Unit
from deployx_protocol import tokens

_USER_AGENT_MAX = 200


@dataclass(frozen=True, slots=True)
class Browser:
    """Who wants a session: from where, what it says it is, and the cookie that it had until now."""

    address: str
    user_agent: str = ""
    replaces: str = ""


async def open_session(unit: Unit, user: User, browser: Browser, now: datetime, lifetime_s: int, **details: str) -> str:
    """Sign ``user`` in: the cookie's value. ``details`` go into the record."""
    if browser.replaces:
        await repository.delete_session(unit.session, Session.token_hash == secret_hash(browser.replaces))
    value = tokens.new_secret()
    row = Session(
        id=str(uuid4()),
        token_hash=secret_hash(value),
        user_id=user.id,
        created_at=now,
        expires_at=now + timedelta(seconds=lifetime_s),
        last_used_at=now,
        source_ip=browser.address,
        user_agent=browser.user_agent[:_USER_AGENT_MAX].replace("\x00", ""),
        proven_at=now,
    )
    unit.session.add(row)
    principal = Principal(user.id, user.email, user.role, session_id=row.id, source_ip=browser.address)
    unit.record(principal.actor, Action.USER_SIGNED_IN, user.id, user.email, user_agent=row.user_agent, **details)
    return value
