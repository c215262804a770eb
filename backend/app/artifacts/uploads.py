"""Uploads: announced, sent in pieces, checked, and then an artifact.

Invariants: an upload is seen by whoever began it, and by nobody else. The offset that is told is what would outlive a
power cut. One piece of an upload is taken at a time, on any number of servers. Pieces go to the store as they come, and
what was announced and what came are compared before anybody can ask for it.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from app.accounts.principal import Principal
from app.artifacts import repository, views
from app.artifacts.models import Artifact, ArtifactUpload
from app.artifacts.schemas import UploadInput, UploadList, UploadView
from app.artifacts.store import Missing, Store, WrongHash, no_room, place_of
from app.audit.actions import Action
from app.clock import Clock, utcnow
from app.db import Database
from app.errors import Conflict, InvalidInput, NotFound, OutOfSpace, Unavailable
from app.ids import new_id
from app.settings import Settings
from app.uow import Unit, UnitOfWork

UPLOADS_MAX = 200
"""Of one user, under way at once."""
SPARE_BYTES = 256 << 20
"""So much stays free on the disk when an upload is admitted."""
WRITER_S = 45
"""After so long without a word from the server that takes a piece, another server believes that it is gone."""
PATIENCE_S = 2.0
"""A piece waits so long for the one before it to end: a broken connection may be noticed after its client is back."""


class Uploads:
    """The uploads of principals. ``node_id`` names this server process."""

    def __init__(
        self, uow: UnitOfWork, db: Database, store: Store, settings: Settings, node_id: str, clock: Clock = utcnow
    ) -> None:
        self._uow = uow
        self._db = db
        self._store = store
        self._settings = settings
        self._lifetime = timedelta(seconds=settings.upload_lifetime_s)
        self._node_id = node_id
        self._clock = clock
        self._active: dict[str, asyncio.Event] = {}

    async def begin(self, principal: Principal, wanted: UploadInput) -> tuple[UploadView, bool]:
        """The upload and whether it is new; one that was begun before, and an artifact that is there, are not.

        Raises InvalidInput, Conflict when a quota is used up, OutOfSpace.
        """
        async with self._db.read() as session:
            there = await repository.artifact(session, wanted.sha256)
        whole = there is not None and await self._store.size(there.place) == there.size
        room = await self._store.room()
        now = self._clock()
        async with self._uow.begin() as unit:
            await repository.one_at_a_time(unit.session)
            found = await repository.artifact(unit.session, wanted.sha256) if whole else None
            if found is not None:
                if found.size != wanted.size:
                    raise InvalidInput(f"The file with this hash has {found.size:,} bytes.", code="wrong_size")
                await repository.wanted(unit.session, found.sha256, now)
                return views.finished("", found, await repository.used_by(unit.session, found.sha256)), False
            mine = await repository.uploads(unit.session, principal.user_id, UPLOADS_MAX)
            for one in mine:
                if (one.sha256, one.size) == (wanted.sha256, wanted.size):
                    return self._view(one), False
            if len(mine) >= UPLOADS_MAX:
                raise Conflict(f"You have {UPLOADS_MAX} uploads under way; finish or delete some.", code="too_many")
            await self._check_quotas(unit, principal.user_id, wanted.size)
            if room is not None and room < wanted.size + SPARE_BYTES:
                raise no_room()
            row = ArtifactUpload(
                id=new_id(),
                user_id=principal.user_id,
                sha256=wanted.sha256,
                size=wanted.size,
                name=wanted.name,
                received=0,
                writer="",
                touched_at=now,
                created_at=now,
            )
            unit.session.add(row)
        return self._view(row), True

    async def mine(self, principal: Principal) -> UploadList:
        """Those that are under way."""
        async with self._db.read() as session:
            rows = await repository.uploads(session, principal.user_id, UPLOADS_MAX)
        return UploadList(items=[self._view(row) for row in rows])

    async def look(self, principal: Principal, upload_id: str) -> UploadView:
        """How far it is. Raises NotFound."""
        async with self._db.read() as session:
            row = await repository.upload(session, principal.user_id, upload_id)
        if row is None:
            raise _no_such()
        return self._view(row)

    async def drop(self, principal: Principal, upload_id: str) -> None:
        """Forget it. Raises NotFound."""
        async with self._uow.begin() as unit:
            row = await repository.upload(unit.session, principal.user_id, upload_id, lock=True)
            if row is None:
                raise _no_such()
            await unit.session.delete(row)
        await self._store.discard(upload_id)

    async def receive(
        self, principal: Principal, upload_id: str, offset: int, length: int | None, pieces: AsyncIterator[bytes]
    ) -> UploadView:
        """Take a piece, ``length`` bytes if that is known, and make the artifact when it was the last.

        Raises NotFound; Conflict when another piece of it is being taken, or for another offset than is due;
        InvalidInput for more than was announced, and WrongHash; Unavailable, OutOfSpace. What came before any of these
        is kept, but for a wrong hash: then the upload is over.
        """
        await self._its_turn(upload_id)
        if len(self._active) >= self._settings.uploads_max:
            text = f"{self._settings.uploads_max} uploads are being received already; try again in a moment."
            raise Unavailable(text, code="too_many_uploads", retry_after_s=2)
        ended = self._active[upload_id] = asyncio.Event()
        try:
            row = await self._claim(principal, upload_id, offset, length or 0)

            async def saved(received: int) -> None:
                now = self._clock()
                async with self._uow.begin() as unit:
                    values = {"received": received, "touched_at": now}
                    if not await repository.change_upload(unit.session, row.id, self._node_id, **values):
                        raise NotFound("This upload was deleted, or goes on over another server.")
                row.received, row.touched_at = received, now

            try:
                if offset < row.size or not row.size:  # else only its end is missing: the server was killed there
                    await self._store.receive(row.id, offset, _at_most(row.size - offset, pieces), saved)
                if row.received == row.size:
                    return await self._finish(principal, row)
            except Missing:
                await saved(0)
                raise Conflict("The server has lost this upload. Begin it again, at 0.", code="upload_lost") from None
            finally:
                await self._release(row.id)
            return self._view(row)
        finally:
            del self._active[upload_id]
            ended.set()

    async def expire(self) -> int:
        """Forget what has not gone on for too long, and what nobody knows of; how many."""
        now = self._clock()
        async with self._uow.begin() as unit:
            gone = set(await repository.expire_uploads(unit.session, now - self._lifetime, self._active))
        async for upload_id in self._store.unfinished(now - self._lifetime):
            async with self._db.read() as session:
                known = await session.get(ArtifactUpload, upload_id)
            if known is None:
                gone.add(upload_id)
        for upload_id in gone:
            await self._store.discard(upload_id)
        return len(gone)

    # ------------------------------------------------------------ one piece

    async def _its_turn(self, upload_id: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while before := self._active.get(upload_id):
                    await before.wait()
        except TimeoutError:
            raise _busy() from None

    async def _claim(self, principal: Principal, upload_id: str, offset: int, length: int) -> ArtifactUpload:
        now = self._clock()
        async with self._uow.begin() as unit:
            row = await repository.upload(unit.session, principal.user_id, upload_id, lock=True)
            if row is None:
                raise _no_such()
            elsewhere = row.writer not in ("", self._node_id) and not self._settings.is_sqlite
            if elsewhere and row.touched_at > now - timedelta(seconds=WRITER_S):
                raise _busy()
            if row.received != offset:
                text = f"The next piece of this upload begins at {row.received}, not at {offset}."
                raise Conflict(text, code="wrong_offset")
            if offset + length > row.size:
                raise _too_long()
            row.writer, row.touched_at = self._node_id, now
        return row

    async def _release(self, upload_id: str) -> None:
        try:
            async with self._uow.begin() as unit:
                await repository.change_upload(unit.session, upload_id, self._node_id, writer="")
        except Unavailable:
            pass  # by then this server's word is old, or the server is another

    async def _finish(self, principal: Principal, row: ArtifactUpload) -> UploadView:
        place = place_of(row.sha256, row.id)
        try:
            await self._store.finish(row.id, row.sha256, row.size, place)
        except WrongHash:
            async with self._uow.begin() as unit:
                await repository.delete_upload(unit.session, row.id)
            raise
        async with self._db.read() as session:
            there = await repository.artifact(session, row.sha256)
        lost = there is not None and await self._store.size(there.place) != there.size
        try:
            artifact, used = await self._record(principal, row, place, lost=lost)
        except IntegrityError:  # another upload of the same bytes was a moment earlier
            artifact, used = await self._record(principal, row, place, lost=False)
        if artifact.place != place:
            await self._store.delete(place)
        return views.finished(row.id, artifact, used)

    async def _record(
        self, principal: Principal, row: ArtifactUpload, place: str, *, lost: bool
    ) -> tuple[Artifact, int]:
        """The artifact, which may be there from another upload; ``lost``: but its file is not."""
        now = self._clock()
        async with self._uow.begin() as unit:
            if not await repository.delete_upload(unit.session, row.id):
                raise NotFound("This upload was deleted.")
            artifact = await repository.artifact(unit.session, row.sha256, lock=True)
            if artifact is None:
                artifact = Artifact(
                    sha256=row.sha256,
                    size=row.size,
                    name=row.name,
                    place=place,
                    user_id=principal.user_id,
                    created_at=now,
                    wanted_at=now,
                )
                unit.session.add(artifact)
                await unit.session.flush()
                unit.record(principal.actor, Action.ARTIFACT_UPLOADED, row.sha256, row.name, size=row.size)
            else:
                artifact.wanted_at = now
                if lost:
                    artifact.place = place
            return artifact, await repository.used_by(unit.session, row.sha256)

    async def _check_quotas(self, unit: Unit, user_id: int, size: int) -> None:
        yours, all_in_all = self._settings.artifacts_user_max_bytes, self._settings.artifacts_max_bytes
        if await repository.spoken_for(unit.session, user_id) + size > yours:
            raise OutOfSpace(
                f"Your artifacts and uploads may have {yours:,} bytes; delete some that no release uses.", code="quota"
            )
        if await repository.spoken_for(unit.session) + size > all_in_all:
            raise OutOfSpace(
                f"All artifacts and uploads may have {all_in_all:,} bytes; delete some that no release uses.",
                code="quota",
            )

    def _view(self, row: ArtifactUpload) -> UploadView:
        return views.under_way(row, row.touched_at + self._lifetime)


async def _at_most(most: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        most -= len(piece)
        if most < 0:
            raise _too_long()
        yield piece


def _no_such() -> NotFound:
    return NotFound("There is no such upload. It may have expired; begin again.")


def _busy() -> Conflict:
    return Conflict("Another piece of this upload is being received; wait for its end.", code="upload_busy")


def _too_long() -> InvalidInput:
    return InvalidInput("This is more than the upload was announced with.", code="too_long")
