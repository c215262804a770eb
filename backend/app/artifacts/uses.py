"""Which releases use which artifacts: taken with the release, in its own transaction, and let go of with it.

Invariant: an artifact that a release uses is there. Whoever deletes one (by hand, or because nothing uses it) and
whoever makes a release that uses it cannot both succeed: the foreign key of ``artifact_uses`` says so, on any number
of connections.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.artifacts.models import Artifact, ArtifactUse
from app.errors import InvalidInput


async def take(session: AsyncSession, release: str, wanted: Mapping[str, int]) -> None:
    """Say that ``release`` (the SHA-256 of its payload) uses artifacts: SHA-256 → size.

    To be called in the transaction that makes the release. Raises InvalidInput for one that is not there, or has
    another size.
    """
    held = (
        sa.select(Artifact.sha256, Artifact.size)
        .where(Artifact.sha256.in_(wanted))
        .order_by(Artifact.sha256)
        .with_for_update(read=True, key_share=True)  # who deletes one has to wait for us, and then cannot
    )
    found: dict[str, int] = {row.sha256: row.size for row in await session.execute(held)}
    for sha256, size in sorted(wanted.items()):
        if sha256 not in found:
            raise InvalidInput(f"There is no artifact {sha256[:12]}…; upload it first.", code="artifact_missing")
        if found[sha256] != size:
            text = f"The artifact {sha256[:12]}… has {found[sha256]:,} bytes, and the release says {size:,}."
            raise InvalidInput(text, code="artifact_size")
    session.add_all(ArtifactUse(sha256=sha256, release=release) for sha256 in sorted(found))
    await session.flush()


async def drop(session: AsyncSession, releases: Collection[str], now: datetime) -> None:
    """The ``releases`` are deleted in this transaction: nothing of theirs is used by them any more."""
    theirs = sa.select(ArtifactUse.sha256).where(ArtifactUse.release.in_(releases))
    await session.execute(sa.update(Artifact).where(Artifact.sha256.in_(theirs)).values(wanted_at=now))
    await session.execute(sa.delete(ArtifactUse).where(ArtifactUse.release.in_(releases)))


def of(release: sa.ColumnElement[str]) -> sa.Select[Any]:
    """The artifacts of a release, or of those in a subquery: ``uses.of(Release.sha256)``."""
    return sa.select(ArtifactUse.sha256).where(ArtifactUse.release == release)


def used() -> sa.ColumnElement[bool]:
    """That some release uses an artifact."""
    return sa.exists().where(ArtifactUse.sha256 == Artifact.sha256)
