"""Reading the record: pages, exports, the head; and what is recorded although nothing changes.

Invariant: retention takes entries from the beginning only, and says so in an entry before it does: an export that
begins later than 1 is whole if it holds an ``audit.pruned`` that reaches to where it begins.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from app import cursors
from app.audit import trail
from app.audit.actions import SERVER, Action, Actor
from app.audit.chain import Head, canonical, exported
from app.audit.models import AuditEntry
from app.audit.notes import Notes
from app.clock import Clock, utcnow
from app.db import Database
from app.pruning import delete_where
from app.settings import Settings
from app.uow import UnitOfWork

_LIST = "audit"
_PAGE = 500
_READ_AGAIN_S = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: None leaves a matter open. ``since`` and ``until`` are moments, the second one excluded."""

    actor: str | None = None
    action: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL. ``action`` may be a kind alone, such as ``run``, for all that was done to one."""
        found: list[sa.ColumnElement[bool]] = []
        if self.actor is not None:
            found.append(AuditEntry.actor == self.actor)
        if self.action is not None:
            column = AuditEntry.action if "." in self.action else AuditEntry.object_kind
            found.append(column == self.action)
        if self.object_id is not None:
            found.append(AuditEntry.object_id == self.object_id)
        if self.since is not None:
            found.append(AuditEntry.at >= self.since)
        if self.until is not None:
            found.append(AuditEntry.at < self.until)
        return found


class AuditService:
    """The record on one database."""

    def __init__(self, uow: UnitOfWork, db: Database, settings: Settings, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._keep = timedelta(days=settings.audit_retention_days)
        self._clock = clock
        self._reads = Notes(uow, _READ_AGAIN_S)

    async def page(self, wanted: Wanted, *, limit: int, cursor: str | None) -> tuple[list[AuditEntry], str | None]:
        """A page of entries, newest first, and the cursor of the next. Raises InvalidInput for a bad cursor."""
        query = sa.select(AuditEntry).where(*wanted.conditions()).order_by(AuditEntry.seq.desc()).limit(limit + 1)
        if cursor:
            (before,) = cursors.read(cursor, _LIST, (int,))
            query = query.where(AuditEntry.seq < before)
        async with self._db.read() as session:
            rows = list(await session.scalars(query))
        if len(rows) <= limit:
            return rows, None
        return rows[:limit], cursors.write(_LIST, (rows[limit - 1].seq,))

    async def head(self) -> Head:
        """Where the chain ends now."""
        async with self._db.read() as session:
            return await trail.head_of(session)

    async def export(
        self, actor: Actor, wanted: Wanted, after_seq: int, limit: int | None = None
    ) -> AsyncIterator[str]:
        """Entries as lines of canonical JSON, oldest first, as of now; that they were asked for is recorded first."""
        await self.note(actor, Action.AUDIT_EXPORTED, "")
        last = (await self.head()).seq
        return self._lines(wanted, after_seq, last, limit)

    async def _lines(self, wanted: Wanted, after_seq: int, last: int, limit: int | None) -> AsyncIterator[str]:
        query = sa.select(AuditEntry).where(*wanted.conditions(), AuditEntry.seq <= last).order_by(AuditEntry.seq)
        left = last if limit is None else limit
        while left > 0:
            async with self._db.read() as session:
                rows = list(await session.scalars(query.where(AuditEntry.seq > after_seq).limit(min(_PAGE, left))))
            if not rows:
                return
            yield "".join(f"{canonical(exported(row))}\n" for row in rows)
            after_seq = rows[-1].seq
            left -= len(rows)

    async def note(self, actor: Actor, action: Action, object_id: str, object_name: str = "") -> None:
        """Record that something was read, before it is shown; the same by the same session once an hour."""
        await self._reads.note((actor.via, action, object_id), actor, action, object_id, object_name)

    async def prune(self) -> None:
        """Delete what is older than the retention, and write the head to the log, which the database cannot rewrite.

        Raises Unavailable; what was deleted until then stays deleted.
        """
        head = await self._cut_beginning()
        log.info("audit.head", seq=head.seq, hash=head.hash)

    async def _cut_beginning(self) -> Head:
        before = sa.literal(self._clock() - self._keep, AuditEntry.at.type)
        kept = sa.select(sa.func.min(AuditEntry.seq)).where(AuditEntry.at >= before).scalar_subquery()
        # no older than the first one that stays, even if a clock went back
        query = sa.select(AuditEntry.seq, AuditEntry.hash).where(AuditEntry.seq < kept)
        async with self._db.read() as session:
            last = (await session.execute(query.order_by(AuditEntry.seq.desc()).limit(1))).one_or_none()
        if last:
            async with self._uow.begin() as unit:
                unit.record(SERVER, Action.AUDIT_PRUNED, through_seq=last.seq, through_hash=last.hash)
            deleted = await delete_where(self._db, AuditEntry, AuditEntry.seq <= last.seq)
            log.info("audit.pruned", through_seq=last.seq, entries=deleted)
        return await self.head()
