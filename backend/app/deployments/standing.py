"""What deployments have left on devices of the releases of one name: as far as a server can know that.

A device says what became of each task after its durable commit, so what was installed last and not taken back is there.
Invariant: what may be there in part, because a task is under way or failed after it had begun, is called neither.

Each query is of one table by an index, and what they say is joined here: a database that has no statistics yet would
join ten thousand devices with their targets one by one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import among
from app.deployments.models import Deployment
from app.deployments.repository import TARGETS
from deployx_protocol.deployments import IN_FLIGHT, TargetState

_T = TARGETS.c
_HAS = _T.state == TargetState.SUCCEEDED.value
_HALF = (*sorted(IN_FLIGHT), TargetState.FAILED, TargetState.PENDING)
_LEFT = sa.or_(_HAS, sa.and_(_T.touched, _T.state.in_([one.value for one in _HALF])))
_AT = sa.func.coalesce(_T.finished_at, _T.started_at)
_PLACE = sa.func.row_number().over(partition_by=_T.device_id, order_by=(_AT.desc(), _T.id.desc()))
_RANKED = (
    sa.select(_T.id, _T.device_id, _T.deployment_id, _T.state, _AT.label("at"), _PLACE.label("place"))
    .where(among(_T.deployment_id, "deployments"), _T.device_id.is_not(None), _LEFT)
    .subquery()
)
_LAST = sa.select(_RANKED).where(_RANKED.c.place == 1)
_GREATEST = (
    sa.select(_T.device_id, sa.func.max(Deployment.release_number))
    .join(Deployment, Deployment.id == _T.deployment_id)
    .where(among(_T.deployment_id, "deployments"), among(_T.device_id, "devices"), sa.or_(_HAS, _T.touched))
    .group_by(_T.device_id)
)


@dataclass(frozen=True, slots=True)
class Brought:
    """The release that a deployment brings."""

    version: str
    number: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Last:
    """What a deployment did last on a device, unless it was taken back."""

    target_id: str
    state: TargetState
    release: Brought
    at: datetime | None


async def last_of(session: AsyncSession, name: str) -> dict[int, Last]:
    """Device id → what deployments of ``name`` have left there."""
    brought = await _brought(session, Deployment.release_name == name)
    rows = await session.execute(_LAST, {"deployments": list(brought)}) if brought else ()
    return {row.device_id: Last(row.id, TargetState(row.state), brought[row.deployment_id], row.at) for row in rows}


async def later_ones(session: AsyncSession, name: str, number: int, device_ids: Collection[int]) -> dict[int, Brought]:
    """Device id → the greatest release of ``name`` above ``number`` that it has had: these devices take nothing lower
    any more, whether they still have it or not."""
    later = await _brought(session, sa.and_(Deployment.release_name == name, Deployment.release_number > number))
    if not later or not device_ids:
        return {}
    by_number = {one.number: one for one in later.values()}
    rows = await session.execute(_GREATEST, {"deployments": list(later), "devices": sorted(device_ids)})
    return {row[0]: by_number[row[1]] for row in rows}


async def reasons(session: AsyncSession, target_ids: Collection[str]) -> Mapping[str, str]:
    """Target id → what its device said."""
    query = sa.select(_T.id, _T.reason).where(among(_T.id, "ids"))
    return {row[0]: row[1] for row in await session.execute(query, {"ids": list(target_ids)})} if target_ids else {}


async def _brought(session: AsyncSession, which: sa.ColumnElement[bool]) -> dict[str, Brought]:
    query = sa.select(
        Deployment.id, Deployment.release_version, Deployment.release_number, Deployment.release_sha256
    ).where(which)
    return {row[0]: Brought(*row[1:]) for row in await session.execute(query)}
