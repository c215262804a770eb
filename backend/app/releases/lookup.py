"""Releases by what others call them: `name@version`, or the SHA-256 of their payload. For other domains, which hold
what they found until their transaction ends.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.releases.models import Release
from deployx_protocol import releases
from deployx_protocol.dsse import Signature
from deployx_protocol.releases import Manifest


@dataclass(frozen=True, slots=True)
class Found:
    """A release, and what it says."""

    id: str
    sha256: str
    size: int
    manifest: Manifest
    signatures: list[Signature]

    @property
    def key_ids(self) -> frozenset[str]:
        """Whose signatures it says it has."""
        return frozenset(one.keyid for one in self.signatures)


async def by_name(session: AsyncSession, name: str, version: str, *, hold: bool = False) -> Found:
    """The release `name@version`. ``hold``: nobody deletes it before this transaction ends. Raises NotFound."""
    return await _one(session, sa.and_(Release.name == name, Release.version == version), f"{name}@{version}", hold)


async def by_id(session: AsyncSession, release_id: str, *, hold: bool = False) -> Found:
    """The release of this id. Raises NotFound."""
    return await _one(session, Release.id == release_id, release_id, hold)


async def by_sha256(session: AsyncSession, sha256: str, *, hold: bool = False) -> Found:
    """The release with this payload. Raises NotFound."""
    return await _one(session, Release.sha256 == sha256, f"{sha256[:12]}…", hold)


async def _one(session: AsyncSession, condition: sa.ColumnElement[bool], called: str, hold: bool) -> Found:
    query = sa.select(Release.id, Release.sha256, Release.size, Release.payload, Release.signatures).where(condition)
    row = (await session.execute(query.with_for_update(read=True, key_share=True) if hold else query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no release {called}.", code="release_not_found")
    signatures = [Signature(sig=one["sig"], keyid=one["keyid"]) for one in row.signatures]
    return Found(row.id, row.sha256, row.size, releases.parse(row.payload), signatures)
