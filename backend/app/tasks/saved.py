"""Commands that people keep, each their own."""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.accounts.principal import Principal
from app.audit.actions import Action as Audited
from app.clock import Clock, utcnow
from app.db import Database
from app.errors import Conflict, InvalidInput, NotFound
from app.ids import new_id
from app.tasks.models import SavedCommand
from app.tasks.schemas import Action, SavedCommandView
from app.tasks.work import work_of
from app.uow import UnitOfWork

SAVED_MAX = 200
"""For each user."""
SIZE_MAX_BYTES = 65_536
"""Of one, as JSON: a list of them stays small."""


class SavedCommands:
    """The saved commands of a principal."""

    def __init__(self, uow: UnitOfWork, db: Database, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._clock = clock

    async def all(self, principal: Principal) -> list[SavedCommandView]:
        """All of them, by name."""
        query = sa.select(SavedCommand).where(SavedCommand.user_id == principal.user_id).order_by(SavedCommand.name)
        async with self._db.read() as session:
            return [_view(row) for row in await session.scalars(query)]

    async def get(self, principal: Principal, saved_id: str) -> SavedCommandView:
        """One of them. Raises NotFound."""
        query = sa.select(SavedCommand).where(SavedCommand.id == saved_id, SavedCommand.user_id == principal.user_id)
        async with self._db.read() as session:
            row = await session.scalar(query)
        if row is None:
            raise _no_such()
        return _view(row)

    async def save(self, principal: Principal, name: str, action: Action) -> SavedCommandView:
        """Keep a command. Raises InvalidInput, and Conflict (``name_taken``) for a name that is there already."""
        work_of(action, 0)
        if len(action.model_dump_json()) > SIZE_MAX_BYTES:
            raise InvalidInput(f"A saved command has at most {SIZE_MAX_BYTES:,} bytes.", code="command_too_long")
        row = SavedCommand(
            id=new_id(),
            user_id=principal.user_id,
            name=name,
            request=action.model_dump(mode="json", exclude_defaults=True),
            created_at=self._clock(),
        )
        try:
            async with self._uow.begin() as unit:
                mine = sa.select(sa.func.count()).where(SavedCommand.user_id == principal.user_id)
                if (await unit.session.scalar(mine) or 0) >= SAVED_MAX:
                    raise Conflict(f"You have {SAVED_MAX} saved commands; delete one first.", code="too_many")
                unit.session.add(row)
                await unit.session.flush()
                unit.record(principal.actor, Audited.SAVED_COMMAND_CREATED, row.id, name)
        except IntegrityError:
            raise Conflict(f"You have a saved command named {name} already.", code="name_taken") from None
        return _view(row)

    async def delete(self, principal: Principal, saved_id: str) -> None:
        """Forget one. Raises NotFound."""
        statement = (
            sa.delete(SavedCommand)
            .where(SavedCommand.id == saved_id, SavedCommand.user_id == principal.user_id)
            .returning(SavedCommand.name)
        )
        async with self._uow.begin() as unit:
            name = await unit.session.scalar(statement)
            if name is None:
                raise _no_such()
            unit.record(principal.actor, Audited.SAVED_COMMAND_DELETED, saved_id, name)


def _no_such() -> NotFound:
    return NotFound("There is no such saved command.")


def _view(row: SavedCommand) -> SavedCommandView:
    action = Action.model_validate(row.request)
    work = work_of(action, 0)
    return SavedCommandView(
        id=row.id, name=row.name, kind=work.kind, title=work.title, request=action, created_at=row.created_at
    )
