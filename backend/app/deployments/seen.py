"""Who sees which deployments and which of their targets: every query about them goes through here.

Invariant: a user sees the deployments that they started, those that wait for somebody's approval on devices all of
which they may run on, and those that they decided on; who sees everything, sees all. Of targets they are told as runs
tell of tasks: what was done on somebody else's device is shown to whoever had it done there while they see the device.
"""

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.deployments.models import Deployment, DeploymentTarget
from app.devices.models import Device
from app.devices.scope import Right, Scope
from deployx_protocol.deployments import DeploymentState

Rows = TypeVar("Rows", bound=sa.Select[*tuple[Any, ...]])


def visible(scope: Scope, user_id: int | None, query: Rows, *, approving: bool = True) -> Rows:
    """``query``, which selects from deployments, without those that this user may not see. ``user_id``: who that is,
    also where ``scope`` is everyone's."""
    if scope.user_id is None:
        return query
    mine = [Deployment.user_id == user_id, Deployment.decided_by_id == user_id]
    if approving:
        mine.append(sa.and_(Deployment.state == DeploymentState.AWAITING_APPROVAL.value, ~_beyond(scope)))
    return query.where(sa.or_(*mine))


def _beyond(scope: Scope) -> sa.ColumnElement[bool]:
    """That a deployment has a device on which this user may not run."""
    theirs = sa.select(Device.id).where(scope.holds(Right.RUN)).correlate(None)
    return sa.exists().where(
        DeploymentTarget.deployment_id == Deployment.id,
        sa.or_(DeploymentTarget.device_id.is_(None), DeploymentTarget.device_id.not_in(theirs)),
    )


async def is_visible(session: AsyncSession, scope: Scope, user_id: int | None, deployment_id: str) -> bool:
    """Whether this user sees a deployment."""
    query = visible(scope, user_id, sa.select(Deployment.id).where(Deployment.id == deployment_id))
    return await session.scalar(query) is not None


async def may_run_all(session: AsyncSession, scope: Scope, deployment_id: str) -> bool:
    """Whether this user may run on every device of a deployment."""
    if scope.user_id is None:
        return True
    query = sa.select(Deployment.id).where(Deployment.id == deployment_id, ~_beyond(scope))
    return await session.scalar(query) is not None


def told(scope: Scope, query: Rows) -> Rows:
    """``query``, which selects from targets, their deployments and (outer) their devices, without what may not be seen
    of a deployment that may."""
    if scope.user_id is None:
        return query
    own = sa.and_(Deployment.user_id == scope.user_id, sa.not_(DeploymentTarget.borrowed))
    return query.where(sa.or_(own, scope.holds()))
