"""The queries about releases."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, undefer

from app import cursors
from app.artifacts.models import Artifact
from app.db import in_turn
from app.deployments.models import Deployment
from app.devices.models import Device
from app.devices.scope import Scope
from app.releases.models import Release

_LIST = "releases"
_LOCK = 0x72656C73  # of no other part
POLICIES_MAX = 500
"""Different policies that are read for the names of keys."""


@dataclass(frozen=True, slots=True)
class Previous:
    """A release that another one names as its previous."""

    id: str
    version: str
    number: int


@dataclass(frozen=True, slots=True)
class Row:
    """A release as lists have it."""

    release: Release
    previous: Previous | None
    deployments: int


async def hold_name(session: AsyncSession, name: str) -> None:
    """Wait for others who make releases of this name."""
    await in_turn(session, _LOCK, name)


async def by_sha256(session: AsyncSession, sha256: str) -> Release | None:
    """The release with this payload."""
    found: Release | None = await session.scalar(sa.select(Release).where(Release.sha256 == sha256))
    return found


async def whole(session: AsyncSession, release_id: str, *, lock: bool = False) -> Release | None:
    """A release with its payload."""
    query = sa.select(Release).where(Release.id == release_id).options(undefer(Release.payload))
    found: Release | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def newest(session: AsyncSession, name: str) -> Release | None:
    """The release of this name with the greatest number."""
    query = sa.select(Release).where(Release.name == name).order_by(Release.number.desc()).limit(1)
    found: Release | None = await session.scalar(query)
    return found


async def others_have(session: AsyncSession, name: str, user_id: int) -> bool:
    """Whether somebody else has made releases of this name."""
    theirs = sa.or_(Release.user_id != user_id, Release.user_id.is_(None))
    return bool(await session.scalar(sa.select(sa.exists().where(Release.name == name, theirs))))


async def version_taken(session: AsyncSession, name: str, version: str) -> bool:
    """Whether there is a release of this version."""
    return bool(await session.scalar(sa.select(sa.exists().where(Release.name == name, Release.version == version))))


async def sizes(session: AsyncSession, sha256s: Collection[str]) -> dict[str, int]:
    """The artifacts of these that are in the store, with their sizes."""
    rows = await session.execute(sa.select(Artifact.sha256, Artifact.size).where(Artifact.sha256.in_(sha256s)))
    return {row.sha256: row.size for row in rows}


async def page(
    session: AsyncSession,
    scope: Scope,
    *,
    name: str | None,
    version: str | None,
    search: str | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[Row], str | None]:
    """Releases, newest first, and the cursor of the next page. Raises InvalidInput for a bad cursor."""
    conditions = []
    if name:
        conditions.append(Release.name == name)
    if version:
        conditions.append(Release.version == version)
    if search:
        conditions.append(sa.func.lower(Release.name).contains(search.lower(), autoescape=True))
    if cursor:
        (last,) = cursors.read(cursor, _LIST, (str,))
        conditions.append(Release.id < last)
    found = await rows(session, scope, *conditions, limit=limit + 1)
    following = cursors.write(_LIST, (found[limit - 1].release.id,)) if len(found) > limit else None
    return found[:limit], following


async def rows(session: AsyncSession, scope: Scope, *conditions: sa.ColumnElement[bool], limit: int) -> list[Row]:
    """Releases, newest first; of their deployments those are counted that ``scope`` has."""
    before = aliased(Release)
    counted = sa.select(sa.func.count()).where(Deployment.release_sha256 == Release.sha256, _own(scope))
    query = (
        sa.select(Release, before.id, before.version, before.number, counted.scalar_subquery())
        .outerjoin(before, before.sha256 == Release.previous_sha256)
        .where(*conditions)
        .options(undefer(Release.payload))
        .order_by(Release.id.desc())
        .limit(limit)
    )
    return [
        Row(release, Previous(id, version, number) if id is not None else None, count)
        for release, id, version, number, count in await session.execute(query)
    ]


async def deployments(session: AsyncSession, scope: Scope, sha256: str, limit: int) -> Sequence[Deployment]:
    """The newest deployments of a release that ``scope`` has."""
    query = sa.select(Deployment).where(Deployment.release_sha256 == sha256, _own(scope))
    return list(await session.scalars(query.order_by(Deployment.id.desc()).limit(limit)))


async def deployed(session: AsyncSession, sha256: str) -> bool:
    """Whether a deployment, anybody's, is of this release."""
    return bool(await session.scalar(sa.select(sa.exists().where(Deployment.release_sha256 == sha256))))


async def following(session: AsyncSession, sha256: str) -> str | None:
    """The version of a release that goes back to this one."""
    found: str | None = await session.scalar(
        sa.select(Release.version).where(Release.previous_sha256 == sha256).order_by(Release.id).limit(1)
    )
    return found


async def policies(session: AsyncSession, scope: Scope) -> list[str]:
    """The different policies that devices in ``scope`` have reported."""
    query = scope.limit(sa.select(Device.policy)).where(Device.policy != "").distinct().limit(POLICIES_MAX)
    return list(await session.scalars(query))


def _own(scope: Scope) -> sa.ColumnElement[bool]:
    return sa.true() if scope.user_id is None else Deployment.user_id == scope.user_id
