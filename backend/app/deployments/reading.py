"""Deployments as a principal, or the publisher, reads them."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app import cursors
from app.accounts.principal import Principal
from app.clock import Clock, iso, utcnow
from app.db import Database, among
from app.deployments import repository, seen, views
from app.deployments.models import Deployment, DeploymentDecision, DeploymentTarget
from app.deployments.views import At, Figures
from app.devices.models import Device
from app.devices.scope import Scope
from app.devices.service import DeviceService
from app.errors import NotFound
from app.groups.scopes import of_user, scope_of
from deployx_protocol.deployments import (
    DecisionView,
    DeploymentState,
    DeploymentTargetView,
    DeploymentView,
    DeviceDeploymentView,
    TargetState,
)

_D, _T = Deployment.__table__.c, DeploymentTarget.__table__.c


class DeploymentReader:
    """Everything raises NotFound for what is not the principal's to see."""

    def __init__(
        self,
        db: Database,
        devices: DeviceService,
        live_nodes: Callable[[], Collection[str]],
        clock: Clock = utcnow,
    ) -> None:
        self._db = db
        self._devices = devices
        self._live_nodes = live_nodes
        self._clock = clock

    async def page(
        self,
        principal: Principal,
        *,
        states: Collection[DeploymentState],
        name: str | None,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[DeploymentView], str | None]:
        """One page of deployments, newest first. Raises InvalidInput for a bad cursor."""
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            query = seen.visible(scope, principal.user_id, sa.select(Deployment))
            if states:
                query = query.where(Deployment.state.in_([state.value for state in states]))
            if name:
                query = query.where(Deployment.release_name == name)
            if cursor:
                query = query.where(Deployment.id < cursors.read(cursor, "deployments", (str,))[0])
            rows = list(await session.scalars(query.order_by(Deployment.id.desc()).limit(limit + 1)))
            more = len(rows) > limit
            found = await self._views(session, rows[:limit])
        return found, cursors.write("deployments", (rows[limit - 1].id,)) if more else None

    async def one(self, principal: Principal, deployment_id: str) -> DeploymentView:
        """One deployment."""
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            row = await self._row(session, scope, principal.user_id, deployment_id)
            return (await self._views(session, [row]))[0]

    async def targets(
        self,
        principal: Principal,
        deployment_id: str,
        *,
        states: Collection[TargetState],
        wave: int | None,
        attention: bool | None,
        search: str | None,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[DeploymentTargetView], str | None]:
        """One page of a deployment's devices, in the order of their turns. Raises InvalidInput for a bad cursor."""
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            row = await self._row(session, scope, principal.user_id, deployment_id)
            query = seen.told(scope, _with_device()).where(DeploymentTarget.deployment_id == deployment_id)
            if states:
                query = query.where(DeploymentTarget.state.in_([state.value for state in states]))
            if wave is not None:
                query = query.where(DeploymentTarget.wave == wave)
            if attention is not None:
                query = query.where(DeploymentTarget.attention.is_(attention))
            if search:
                name = sa.func.lower(DeploymentTarget.device_name)
                query = query.where(name.contains(search.lower(), autoescape=True))
            if cursor:
                query = query.where(DeploymentTarget.position > cursors.read(cursor, "deployment targets", (int,))[0])
            rows = list(await session.execute(query.order_by(DeploymentTarget.position).limit(limit + 1)))
            at = At.of(row, await repository.counts(session, deployment_id), self._clock())
        found = [views.target_view(one, at, self._live_nodes()) for one in rows[:limit]]
        following = cursors.write("deployment targets", (found[-1].position,)) if len(rows) > limit else None
        return found, following

    async def log(
        self, principal: Principal, deployment_id: str, *, limit: int, cursor: str | None
    ) -> tuple[list[DecisionView], str | None]:
        """One page of what was decided, newest first. Raises InvalidInput for a bad cursor."""
        async with self._db.read() as session:
            scope = await scope_of(session, principal)
            await self._row(session, scope, principal.user_id, deployment_id)
            query = sa.select(DeploymentDecision).where(DeploymentDecision.deployment_id == deployment_id)
            if cursor:
                query = query.where(DeploymentDecision.id < cursors.read(cursor, "decisions", (int,))[0])
            rows = list(await session.scalars(query.order_by(DeploymentDecision.id.desc()).limit(limit + 1)))
        found = [views.decision_view(row) for row in rows[:limit]]
        return found, cursors.write("decisions", (found[-1].id,)) if len(rows) > limit else None

    async def of_device(
        self, principal: Principal, device_id: int, *, limit: int, cursor: str | None
    ) -> tuple[list[DeviceDeploymentView], str | None]:
        """One page of what deployments did on a device, newest first: those that one sees, and on a device of one's own
        also those of others to whom it was not their own. Raises InvalidInput for a bad cursor."""
        await self._devices.get(principal, device_id)
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            query = _with_device().where(DeploymentTarget.device_id == device_id)
            if scope.user_id is not None:
                lent = sa.and_(DeploymentTarget.borrowed, Device.user_id == scope.user_id)
                mine = sa.or_(Deployment.user_id == scope.user_id, Deployment.decided_by_id == scope.user_id)
                query = query.where(scope.holds(), sa.or_(mine, lent))
            if cursor:
                query = query.where(DeploymentTarget.id < cursors.read(cursor, "device deployments", (str,))[0])
            rows = list(await session.execute(query.order_by(DeploymentTarget.id.desc()).limit(limit + 1)))
            found = [await self._of_device(session, scope, row) for row in rows[:limit]]
        following = cursors.write("device deployments", (found[-1].target.id,)) if len(rows) > limit else None
        return found, following

    async def _of_device(self, session: AsyncSession, scope: Scope, row: Any) -> DeviceDeploymentView:
        deployment: Deployment = row.Deployment
        at = At.of(deployment, await repository.counts(session, deployment.id), self._clock())
        return DeviceDeploymentView(
            deployment=deployment.id,
            title=f"{deployment.release_name} {deployment.release_version}",
            release_name=deployment.release_name,
            release_version=deployment.release_version,
            deployment_state=DeploymentState(deployment.state),
            created_by=deployment.created_by,
            created_at=iso(deployment.created_at),
            readable=scope.user_id is None or scope.user_id in (deployment.user_id, deployment.decided_by_id),
            target=views.target_view(row, at, self._live_nodes()),
        )

    # ------------------------------------------------------------ for the publisher and the dashboards' gateway

    async def may_see(self, user_id: int | None, deployment_id: str) -> bool:
        """Whether this user (None: who sees everything) sees a deployment."""
        async with self._db.read() as session:
            scope = await of_user(session, user_id)
            if user_id is None:
                query = sa.select(Deployment.id).where(Deployment.id == deployment_id)
                return await session.scalar(query) is not None
            return await seen.is_visible(session, scope, user_id, deployment_id)

    async def unfinished(self) -> list[str]:
        """The ids of the deployments that are not over."""
        async with self._db.read() as session:
            return [row.id for row in await repository.active(session)]

    async def by_ids(
        self, deployment_ids: Collection[str], user_ids: Collection[int | None]
    ) -> dict[int | None, list[DeploymentView]]:
        """For each of these users (None: who sees everything) what they see of these deployments."""
        found: dict[int | None, list[DeploymentView]] = {}
        async with self._db.read(at_one_moment=True) as session:
            ids = sorted(deployment_ids)
            rows = list(await session.scalars(sa.select(Deployment).where(among(_D.id, "ids")), {"ids": ids}))
            made = {view.id: view for view in await self._views(session, rows)}
            for user_id in user_ids:
                if user_id is None:
                    found[None] = list(made.values())
                    continue
                query = sa.select(Deployment.id).where(among(_D.id, "ids"))
                waiting = any(row.state == DeploymentState.AWAITING_APPROVAL for row in rows)
                scope = await of_user(session, user_id) if waiting else Scope(user_id)
                mine = seen.visible(scope, user_id, query, approving=waiting)
                found[user_id] = [made[id] for id in await session.scalars(mine, {"ids": ids}) if id in made]
        return found

    async def targets_by_ids(
        self, target_ids: Collection[str], user_id: int | None
    ) -> dict[str, list[DeploymentTargetView]]:
        """Targets by their deployment, as far as this user (None: anyone) sees them."""
        found: dict[str, list[DeploymentTargetView]] = {}
        async with self._db.read(at_one_moment=True) as session:
            scope = await of_user(session, user_id)
            query = seen.told(scope, _with_device()).where(among(_T.id, "ids")).order_by(DeploymentTarget.position)
            rows = list(await session.execute(query, {"ids": sorted(target_ids)}))
            ats: dict[str, At] = {}
            for row in rows:
                id = row.Deployment.id
                if id not in ats:
                    ats[id] = At.of(row.Deployment, await repository.counts(session, id), self._clock())
                found.setdefault(id, []).append(views.target_view(row, ats[id], self._live_nodes()))
        return found

    # ------------------------------------------------------------ parts of these

    async def _row(self, session: AsyncSession, scope: Scope, user_id: int, deployment_id: str) -> Deployment:
        query = seen.visible(scope, user_id, sa.select(Deployment).where(Deployment.id == deployment_id))
        row = await session.scalar(query)
        if row is None:
            raise NotFound("There is no such deployment.")
        return row

    async def _views(self, session: AsyncSession, rows: Sequence[Deployment]) -> list[DeploymentView]:
        now = self._clock()
        ids = {"ids": [row.id for row in rows]}
        counts: dict[str, dict[int, dict[TargetState, int]]] = {row.id: {} for row in rows}
        of_any = sa.select(_T.deployment_id, _T.wave, _T.state, sa.func.count()).where(among(_T.deployment_id, "ids"))
        for id, wave, state, count in await session.execute(of_any.group_by(_T.deployment_id, _T.wave, _T.state), ids):
            counts[id].setdefault(wave, {})[TargetState(state)] = count
        number = sa.select(_T.deployment_id, sa.func.count()).where(among(_T.deployment_id, "ids"))
        number = number.group_by(_T.deployment_id)
        failed = _T.state == TargetState.FAILED.value
        attention = {row[0]: row[1] for row in await session.execute(number.where(failed, _T.attention), ids)}
        since = _T.finished_at > now - views.LATELY
        lately = {row[0]: row[1] for row in await session.execute(number.where(since), ids)}
        return [
            views.deployment_view(row, Figures(counts[row.id], attention.get(row.id, 0), lately.get(row.id, 0)), now)
            for row in rows
        ]


def _with_device() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            DeploymentTarget,
            Deployment,
            Device.status,
            Device.node_id,
            Device.status_since,
            Device.trust,
        )
        .join(Deployment, Deployment.id == DeploymentTarget.deployment_id)
        .join(Device, Device.id == DeploymentTarget.device_id, isouter=True)
    )
