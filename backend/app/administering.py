"""What an administrator does beside the server, in the same database: services without anything that serves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from app.accounts.service import AccountService
from app.audit.actions import Actor
from app.db import Database
from app.devices.enrollment import EnrollmentService
from app.prepare import migrate_or_explain
from app.settings import Settings
from app.uow import UnitOfWork

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """What commands work with; ``actor`` is who they are in the audit record."""

    actor: Actor
    accounts: AccountService
    enrollment: EnrollmentService


async def run(settings: Settings, work: Callable[[Services], Awaitable[T]]) -> T:
    """Do ``work`` on the database, brought up to date. Raises CannotServe, and what ``work`` raises."""
    await migrate_or_explain(settings)
    db = Database(settings.database_url)
    uow = UnitOfWork(db, lambda _: None)  # servers see the rows change when they look next
    accounts = AccountService(uow, db, settings)
    try:
        return await work(Services(Actor.command_line(), accounts, EnrollmentService(uow, db, settings)))
    finally:
        accounts.close()
        await db.close()
