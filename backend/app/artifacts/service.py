"""Artifacts for people: lists, looks, deletions; and what is deleted because nobody wants it.

Invariant: the row goes first, in a transaction in which no release can begin to use it; then its file. A crash in
between leaves a file that no row knows of, which ``collect`` finds; a row without its file is what an upload of the
same bytes puts right.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError

from app import cursors
from app.accounts.principal import Principal
from app.artifacts import repository, uses, views
from app.artifacts.models import Artifact
from app.artifacts.schemas import ArtifactPage, ArtifactView
from app.artifacts.store import Store
from app.artifacts.uploads import Uploads
from app.audit.actions import SERVER, Action
from app.clock import Clock, utcnow
from app.db import Database
from app.errors import Conflict, NotFound
from app.settings import Settings
from app.uow import UnitOfWork

SWEPT_S = 6 * 3600
"""A file that no row knows of is left alone for so long."""
_LIST = "artifacts"
_BATCH = 200

log = structlog.get_logger()


class ArtifactService:
    """The artifacts of this organisation: whoever may see releases sees all of them."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        store: Store,
        uploads: Uploads,
        settings: Settings,
        clock: Clock = utcnow,
    ) -> None:
        self._uow = uow
        self._db = db
        self._store = store
        self._uploads = uploads
        self._kept = timedelta(days=settings.artifact_retention_days)
        self._clock = clock

    async def page(self, *, limit: int, cursor: str | None, unused: bool) -> ArtifactPage:
        """Artifacts, the newest first. Raises InvalidInput for a cursor of another list."""
        after: tuple[datetime, str] | None = None
        if cursor:
            moment, sha256 = cursors.read(cursor, _LIST, (datetime, str))
            after = (moment, sha256)
        async with self._db.read() as session:
            rows = await repository.page(session, after=after, limit=limit + 1, unused=unused)
        items = [views.artifact(row, used_by) for row, used_by in rows[:limit]]
        last = rows[limit - 1][0] if len(rows) > limit else None
        return ArtifactPage(
            items=items, next_cursor=cursors.write(_LIST, (last.created_at, last.sha256)) if last else None
        )

    async def get(self, sha256: str) -> ArtifactView:
        """One of them. Raises NotFound."""
        async with self._db.read() as session:
            row = await repository.artifact(session, sha256)
            if row is None:
                raise _no_such()
            return views.artifact(row, await repository.used_by(session, sha256))

    async def row(self, sha256: str) -> Artifact:
        """What is to be sent. Raises NotFound."""
        async with self._db.read() as session:
            found = await repository.artifact(session, sha256)
        if found is None:
            raise _no_such()
        return found

    async def delete(self, principal: Principal, sha256: str) -> None:
        """Delete one. Raises NotFound, and Conflict (``artifact_in_use``) when a release uses it."""
        try:
            async with self._uow.begin() as unit:
                row = await repository.artifact(unit.session, sha256, lock=True)
                if row is None:
                    raise _no_such()
                if used_by := await repository.used_by(unit.session, sha256):
                    raise _in_use(used_by)
                await unit.session.delete(row)
                await unit.session.flush()
                unit.record(principal.actor, Action.ARTIFACT_DELETED, sha256, row.name, size=row.size)
        except IntegrityError:  # a release was made of it in this moment
            raise _in_use(1) from None
        await self._store.delete(row.place)

    async def prune(self) -> int:
        """Delete what nobody wants, and what was left over; how much there was."""
        gone = await self._uploads.expire() + await self._collect() + await self._sweep()
        if gone:
            log.info("artifacts.collected", count=gone)
        return gone

    async def _collect(self) -> int:
        before, deleted = self._clock() - self._kept, 0
        async with self._db.read() as session:
            doomed = await repository.unused(session, before, _BATCH)
        for sha256 in doomed:
            still = (Artifact.sha256 == sha256, Artifact.wanted_at < before, ~uses.used())
            gone = sa.delete(Artifact).where(*still).returning(Artifact.place, Artifact.name, Artifact.size)
            try:
                async with self._uow.begin() as unit:
                    found = (await unit.session.execute(gone)).one_or_none()
                    if found is None:
                        continue
                    unit.record(SERVER, Action.ARTIFACT_DELETED, sha256, found.name, size=found.size, why="unused")
            except IntegrityError:  # a release was made of it in this moment
                continue
            await self._store.delete(found.place)
            deleted += 1
        return deleted

    async def _sweep(self) -> int:
        before, swept = self._clock() - timedelta(seconds=SWEPT_S), 0
        batch: list[str] = []

        async def judge() -> int:
            async with self._db.read() as session:
                unknown = await repository.unknown(session, batch)
            for place in sorted(unknown):
                await self._store.delete(place)
            batch.clear()
            return len(unknown)

        async for place in self._store.places(before):
            batch.append(place)
            if len(batch) >= _BATCH:
                swept += await judge()
        return swept + (await judge() if batch else 0)


def _no_such() -> NotFound:
    return NotFound("There is no such artifact.")


def _in_use(count: int) -> Conflict:
    plural = "s use" if count > 1 else " uses"
    return Conflict(f"{count} release{plural} this artifact; delete what uses it first.", code="artifact_in_use")
