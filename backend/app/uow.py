"""The unit of work: one transaction, and the hints that follow it.

Invariant: hints are published after the commit and only after it; a rollback publishes nothing. A change and whatever
records it (a status event, later an audit entry) share the transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.hints import Hint, HintKind, Publish


@dataclass
class Unit:
    """What a service works with inside one transaction."""

    session: AsyncSession
    hints: list[Hint] = field(default_factory=list)

    def hint(
        self,
        kind: HintKind,
        device_id: int = 0,
        *,
        user_id: int = 0,
        rev: int = 0,
        run_id: str = "",
        task_id: str = "",
    ) -> None:
        """Tell the others, once this is committed, where to look."""
        self.hints.append(Hint(kind, device_id, user_id, rev, run_id, task_id))


class UnitOfWork:
    """Opens units on one database and publishes their hints."""

    def __init__(self, db: Database, publish: Publish) -> None:
        self._db = db
        self._publish = publish

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Unit]:
        """A unit that commits when the block ends well. Raises Unavailable when the database is away."""
        async with self._db.write() as session:
            unit = Unit(session)
            yield unit
        self._publish(unit.hints)
