"""The unit of work: one transaction, what it leaves in the record, and the hints that follow it.

Invariant: hints are published after the commit and only after it; a rollback publishes nothing. A change and whatever
records it (a status event, an audit entry) share the transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import trail
from app.audit.actions import Action, Actor
from app.audit.chain import Record
from app.clock import Clock, utcnow
from app.db import Database
from app.hints import Hint, HintKind, Publish


@dataclass
class Unit:
    """What a service works with inside one transaction."""

    session: AsyncSession
    hints: list[Hint] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def record(
        self, actor: Actor, action: Action, object_id: int | str = "", object_name: str = "", **details: Any
    ) -> None:
        """Leave in the audit record that ``actor`` did this, if it is committed. No secret goes into ``details``."""
        self.records.append(Record(actor, action, str(object_id), object_name, details))

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

    def __init__(self, db: Database, publish: Publish, clock: Clock = utcnow) -> None:
        self._db = db
        self._publish = publish
        self._clock = clock

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Unit]:
        """A unit that commits when the block ends well. Raises Unavailable when the database is away."""
        async with self._db.write() as session:
            unit = Unit(session)
            yield unit
            if unit.records:
                await trail.append(session, unit.records, self._clock())
        self._publish(unit.hints)
