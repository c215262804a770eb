"""What comes before serving, and before a command that needs the database: its tables, its first administrator."""

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from app.accounts.sealing import Sealer
from app.accounts.service import AccountService
from app.db import Database
from app.devices.models import Node
from app.errors import Unavailable
from app.migrate import NewerDatabase, migrate
from app.settings import Settings
from app.uow import UnitOfWork
from deployx_protocol.codes import EXIT_CONFIG, EXIT_UNAVAILABLE

log = structlog.get_logger()


class CannotServe(Exception):
    """The server cannot start. The message is one sentence that says what to do; ``exit_code`` is from sysexits.h."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


async def prepare(settings: Settings) -> None:
    """Bring the database up to date and make the first administrator. Raises CannotServe."""
    await migrate_or_explain(settings)
    db = Database(settings.database_url)
    service = AccountService(UnitOfWork(db, lambda _: None), db, settings)
    try:
        await _share_a_key(db, settings)
        if await service.has_users():
            return
        if settings.admin_email:
            await service.create_first_admin(settings.admin_email, settings.admin_password.get_secret_value())
        else:
            log.warning("Nobody can sign in yet: run `deployx-server create-admin EMAIL`")
    finally:
        service.close()
        await db.close()


async def _share_a_key(db: Database, settings: Settings) -> None:
    """See to it that all servers on this database seal secrets with one key. Raises CannotServe."""
    if settings.is_sqlite:
        return
    try:
        mark = Sealer(settings).mark()
    except Unavailable as error:
        raise CannotServe(f"The secret key cannot be used: {error.__cause__}.", EXIT_CONFIG) from error
    others = sa.select(Node.id).where(Node.lease_expires_at > sa.func.clock_timestamp(), Node.key_mark != mark)
    async with db.read() as session:
        if await session.scalar(others.limit(1)):
            raise CannotServe(
                "Another server on this database has another secret key, and could not read what this one seals: "
                "set DEPLOYX_SECRET_KEY (or DEPLOYX_SECRET_KEY_FILE) to the same on all of them.",
                EXIT_CONFIG,
            )


async def migrate_or_explain(settings: Settings) -> None:
    """Migrate. Raises CannotServe when the database is away or not ours."""
    try:
        await migrate(settings.database_url)
    except NewerDatabase as error:
        raise CannotServe(str(error), EXIT_CONFIG) from error
    except (SQLAlchemyError, OSError) as error:
        raise _database_away(settings, error) from error
    except Exception as error:
        if type(error).__module__.startswith("asyncpg."):  # raised unwrapped while it connects
            raise _database_away(settings, error) from error
        raise


def _database_away(settings: Settings, error: Exception) -> CannotServe:
    where = make_url(settings.database_url).render_as_string(hide_password=True)
    reason = str(getattr(error, "orig", None) or error).partition("\n")[0] or type(error).__name__
    return CannotServe(f"The database {where} cannot be used: {reason}", EXIT_UNAVAILABLE)
