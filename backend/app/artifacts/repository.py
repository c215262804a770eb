"""The queries about artifacts and uploads."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.artifacts import uses
from app.artifacts.models import Artifact, ArtifactUpload, ArtifactUse
from app.db import in_turn

QUOTA_LOCK = 0x6465706C6F790B  # of no other part
"""Uploads are admitted one after the other, so that two together do not pass a quota which has room for one."""


async def artifact(session: AsyncSession, sha256: str, *, lock: bool = False) -> Artifact | None:
    """One artifact."""
    query = sa.select(Artifact).where(Artifact.sha256 == sha256)
    found: Artifact | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def unused(session: AsyncSession, before: datetime, limit: int) -> list[str]:
    """The hashes of artifacts that no release uses, and nobody has wanted since."""
    query = sa.select(Artifact.sha256).where(Artifact.wanted_at < before, ~uses.used())
    return list(await session.scalars(query.order_by(Artifact.wanted_at).limit(limit)))


async def unknown(session: AsyncSession, places: Collection[str]) -> set[str]:
    """Those of the ``places`` that no artifact has, and no upload will have. What is unknown once stays so."""
    uploads = {place: place.rpartition(".")[2] for place in places}
    query = sa.select(ArtifactUpload.id).where(ArtifactUpload.id.in_(set(uploads.values())))
    on_their_way = set(await session.scalars(query))  # first: what is not on its way any more has arrived or never will
    known = set(await session.scalars(sa.select(Artifact.place).where(Artifact.place.in_(places))))
    return {place for place, upload_id in uploads.items() if place not in known and upload_id not in on_their_way}


async def page(
    session: AsyncSession, *, after: tuple[datetime, str] | None, limit: int, unused: bool
) -> list[tuple[Artifact, int]]:
    """Artifacts with how many releases use each, the newest first."""
    count = sa.select(sa.func.count()).where(ArtifactUse.sha256 == Artifact.sha256).scalar_subquery()
    query = sa.select(Artifact, count).order_by(Artifact.created_at.desc(), Artifact.sha256).limit(limit)
    if after:
        created_at, sha256 = after
        later = sa.and_(Artifact.created_at == created_at, Artifact.sha256 > sha256)
        query = query.where(sa.or_(Artifact.created_at < created_at, later))
    if unused:
        query = query.where(~uses.used())
    return [(row, used) for row, used in await session.execute(query)]


async def used_by(session: AsyncSession, sha256: str) -> int:
    """How many releases use it."""
    query = sa.select(sa.func.count()).where(ArtifactUse.sha256 == sha256)
    return int(await session.scalar(query) or 0)


async def wanted(session: AsyncSession, sha256: str, now: datetime) -> None:
    """Somebody wants it: it is not deleted for a while."""
    await session.execute(sa.update(Artifact).where(Artifact.sha256 == sha256).values(wanted_at=now))


async def spoken_for(session: AsyncSession, user_id: int | None = None) -> int:
    """How many bytes are stored or promised to uploads, in all or on one user's account."""
    total = 0
    for model in (Artifact, ArtifactUpload):
        query = sa.select(sa.func.coalesce(sa.func.sum(model.size), 0))
        if user_id is not None:
            query = query.where(model.user_id == user_id)
        total += int(await session.scalar(query) or 0)
    return total


async def one_at_a_time(session: AsyncSession) -> None:
    """Wait for others who admit uploads."""
    await in_turn(session, QUOTA_LOCK)


async def upload(session: AsyncSession, user_id: int, upload_id: str, *, lock: bool = False) -> ArtifactUpload | None:
    """An upload of this user."""
    query = sa.select(ArtifactUpload).where(ArtifactUpload.id == upload_id, ArtifactUpload.user_id == user_id)
    found: ArtifactUpload | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def uploads(session: AsyncSession, user_id: int, limit: int) -> list[ArtifactUpload]:
    """The uploads of this user, the newest first."""
    query = sa.select(ArtifactUpload).where(ArtifactUpload.user_id == user_id)
    return list(await session.scalars(query.order_by(ArtifactUpload.id.desc()).limit(limit)))


async def delete_upload(session: AsyncSession, upload_id: str) -> bool:
    """Whether there was one."""
    gone = sa.delete(ArtifactUpload).where(ArtifactUpload.id == upload_id).returning(ArtifactUpload.id)
    return await session.scalar(gone) is not None


async def expire_uploads(session: AsyncSession, before: datetime, active: Collection[str]) -> list[str]:
    """Delete uploads that have not gone on since, but for those in ``active``; their ids."""
    old = sa.delete(ArtifactUpload).where(ArtifactUpload.touched_at < before, ArtifactUpload.id.not_in(active))
    return list(await session.scalars(old.returning(ArtifactUpload.id)))


async def change_upload(session: AsyncSession, upload_id: str, node_id: str, **values: Any) -> bool:
    """Change an upload of which ``node_id`` takes a piece; False when it does not, or the upload is gone."""
    mine = sa.update(ArtifactUpload).where(ArtifactUpload.id == upload_id, ArtifactUpload.writer == node_id)
    return await session.scalar(mine.values(**values).returning(ArtifactUpload.id)) is not None
