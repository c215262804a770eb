"""Rows of deployments and their targets for whoever moves them along: the controller, and what people do with them.

Invariant: whoever writes a target has locked its deployment first: of two writers the second sees what the first did.
Locks are taken in this order: deployments, devices, targets, runs, tasks.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import User
from app.accounts.permissions import Permission, granted
from app.db import among
from app.deployments.models import Deployment, DeploymentDecision, DeploymentTarget
from app.deployments.planner import PAGE
from app.devices.models import Device
from app.devices.scope import Right, Scope
from app.groups.scopes import of_user
from app.tasks.models import TaskRelease
from app.tasks.rows import TASKS
from deployx_protocol.deployments import IN_FLIGHT, OVER, DeploymentState, TargetState
from deployx_protocol.releases import Action
from deployx_protocol.states import DeviceStatus, Trust
from deployx_protocol.tasks import TaskCode

DEPLOYMENTS = cast("sa.Table", Deployment.__table__)
TARGETS = cast("sa.Table", DeploymentTarget.__table__)
_RELEASES = cast("sa.Table", TaskRelease.__table__)
_T = TARGETS.c
_FLYING: list[sa.ColumnElement[str]] = [
    sa.literal_column(f"'{state.value}'") for state in TargetState if state in IN_FLIGHT
]
UNFINISHED = [state.value for state in DeploymentState if state not in OVER]


async def locked(session: AsyncSession, deployment_id: str) -> Deployment | None:
    """A deployment, to be changed."""
    query = sa.select(Deployment).where(Deployment.id == deployment_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def active(session: AsyncSession) -> list[Any]:
    """(id, state, install run, revert run) of the deployments that are not over, oldest first."""
    query = sa.select(Deployment.id, Deployment.state, Deployment.install_run_id, Deployment.revert_run_id)
    # literals, so that the partial index is used
    unfinished: list[sa.ColumnElement[str]] = [sa.literal_column(f"'{state}'") for state in UNFINISHED]
    return list(await session.execute(query.where(Deployment.state.in_(unfinished)).order_by(Deployment.id)))


async def owner_scope(session: AsyncSession, user_id: int | None) -> Scope | None:
    """What the owner of a deployment may run on now; None when they may not deploy any more."""
    if user_id is None:
        return None
    row = (await session.execute(sa.select(User.role, User.disabled_at).where(User.id == user_id))).one_or_none()
    if row is None or row.disabled_at is not None or Permission.DEPLOYMENTS_WRITE not in granted(row.role):
        return None
    return await of_user(session, None if Permission.DEVICES_ALL in granted(row.role) else user_id)


# ---------------------------------------------------------------- how it stands

_COUNTS = (
    sa.select(_T.wave, _T.state, sa.func.count())
    .where(_T.deployment_id == sa.bindparam("id"))
    .group_by(_T.wave, _T.state)
)
_TODO = (
    sa.select(_T.todo, sa.func.count())
    .where(_T.deployment_id == sa.bindparam("id"), _T.todo.in_(("install", "revert")))
    .group_by(_T.todo)
)
_UNCONFIRMED = sa.select(sa.func.count()).where(
    _T.deployment_id == sa.bindparam("id"),
    _T.state == TargetState.ROLLED_BACK.value,
    _T.action == Action.INSTALL.value,
    _T.code == TaskCode.RELEASE_UNCONFIRMED.value,
)


async def counts(session: AsyncSession, deployment_id: str) -> dict[int, dict[TargetState, int]]:
    """Wave → target state → how many."""
    found: dict[int, dict[TargetState, int]] = {}
    for wave, state, count in await session.execute(_COUNTS, {"id": deployment_id}):
        found.setdefault(wave, {})[TargetState(state)] = count
    return found


async def todo(session: AsyncSession, deployment_id: str) -> dict[str, int]:
    """install, revert → how many targets wait for it."""
    return {row[0]: row[1] for row in await session.execute(_TODO, {"id": deployment_id})}


async def unconfirmed(session: AsyncSession, deployment_id: str) -> int:
    """How many targets went back by themselves for want of a server."""
    return await session.scalar(_UNCONFIRMED, {"id": deployment_id}) or 0


def _waiting(deployment_id: str, action: Action, wave: int) -> tuple[sa.ColumnElement[bool], ...]:
    return _T.deployment_id == deployment_id, _T.todo == action.value, _T.wave <= wave


async def ready(
    session: AsyncSession, deployment_id: str, action: Action, wave: int, scope: Scope, limit: int
) -> list[Any]:
    """(target, device, name, …) of the next targets up to ``wave`` whose devices are there; the devices stay."""
    other = TARGETS.alias("other")
    elsewhere = sa.exists().where(
        other.c.device_id == _T.device_id, other.c.release_name == _T.release_name, other.c.state.in_(_FLYING)
    )
    query = (
        sa.select(_T.id, _T.device_id, _T.device_name, _T.attempts, _T.started_at, _T.borrowed)
        .join(Device, Device.id == _T.device_id)
        .where(
            *_waiting(deployment_id, action, wave),
            Device.status == DeviceStatus.ONLINE,
            Device.trust == Trust.TRUSTED,
            ~elsewhere,
        )
        .order_by(_T.position)
        .limit(limit)
        .with_for_update(read=True, key_share=True, of=Device)
    )
    return list(await session.execute(scope.limit(query, Right.RUN)))


async def gone(
    session: AsyncSession, deployment_id: str, action: Action, wave: int, scope: Scope
) -> list[tuple[str, str]]:
    """(target, why) of those whose devices were deleted, or are not the owner's to run on any more."""
    query = (
        sa.select(_T.id, Device.id.label("there"))
        .join(Device, Device.id == _T.device_id, isouter=True)
        .where(*_waiting(deployment_id, action, wave))
        .where(sa.or_(Device.id.is_(None), sa.not_(scope.holds(Right.RUN))))
        .order_by(_T.position)
        .limit(PAGE)
    )
    lost = "it is not among the devices of the deployment's owner any more"
    return [(row.id, "it was deleted" if row.there is None else lost) for row in await session.execute(query)]


async def overdue(
    session: AsyncSession, deployment_id: str, action: Action, waves: Collection[int], since: datetime
) -> list[str]:
    """Targets of ``waves`` whose devices have been away, or not trusted, since then."""
    away = sa.or_(
        sa.and_(
            Device.status != DeviceStatus.ONLINE, sa.or_(Device.status_since.is_(None), Device.status_since <= since)
        ),
        Device.trust != Trust.TRUSTED,
    )
    query = (
        sa.select(_T.id)
        .join(Device, Device.id == _T.device_id)
        .where(_T.deployment_id == deployment_id, _T.todo == action.value, _T.wave.in_(list(waves)), away)
    )
    return list(await session.scalars(query.order_by(_T.position).limit(PAGE)))


# ---------------------------------------------------------------- what tasks say

_SEEN = (
    sa.select(
        _T.id,
        _T.state,
        _T.todo,
        _T.action,
        _T.attempts,
        _T.touched,
        _T.outcome,
        _T.attention,
        _T.phase,
        _T.percent,
        _T.code,
        _T.reason,
        TASKS.c.rev.label("task_rev"),
        TASKS.c.state.label("task_state"),
        TASKS.c.code.label("task_code"),
        TASKS.c.message.label("task_message"),
        TASKS.c.started_at.label("task_started_at"),
        TASKS.c.sent_at.label("task_sent_at"),
        TASKS.c.finished_at.label("task_finished_at"),
        _RELEASES.c.phase.label("task_phase"),
        _RELEASES.c.percent.label("task_percent"),
        _RELEASES.c.outcome.label("task_outcome"),
    )
    .join(TASKS, TASKS.c.id == _T.task_id)
    .join(_RELEASES, _RELEASES.c.task_id == _T.task_id)
    .where(_T.deployment_id == sa.bindparam("id"), TASKS.c.rev != _T.task_rev)
)
_SEEN_OF = _SEEN.where(among(_T.task_id, "task_ids"))
_WATCHED = sa.or_(
    _T.state.in_(_FLYING), sa.and_(_T.state == TargetState.FAILED.value, _T.code == TaskCode.SILENT.value)
)
_SEEN_ANY = _SEEN.where(_WATCHED).limit(PAGE)


async def changed(session: AsyncSession, deployment_id: str, task_ids: Collection[str] | None) -> list[Any]:
    """Targets with their tasks where a task has changed: of these tasks, or (None) a page of any."""
    if task_ids is None:
        return list(await session.execute(_SEEN_ANY, {"id": deployment_id}))
    return list(await session.execute(_SEEN_OF, {"id": deployment_id, "task_ids": sorted(task_ids)}))


_SAVED = (
    "state",
    "todo",
    "action",
    "attempts",
    "touched",
    "phase",
    "percent",
    "outcome",
    "attention",
    "code",
    "reason",
    "task_rev",
    "finished_at",
    "updated_at",
)
_SAVE = (
    sa.update(TARGETS)
    .where(_T.id == sa.bindparam("b_id"))
    .values(
        {**{name: sa.bindparam(f"b_{name}", type_=_T[name].type) for name in _SAVED}, "rev": _T.rev + 1},
    )
)


async def save(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what was observed of targets: each with ``id`` and all of ``_SAVED``."""
    if rows:
        listed = [{f"b_{name}": row[name] for name in ("id", *_SAVED)} for row in rows]
        await (await session.connection()).execute(_SAVE, listed)


# ---------------------------------------------------------------- what is decided

_STARTED = (
    sa.update(TARGETS)
    .where(_T.id == sa.bindparam("b_id"))
    .values(
        state=sa.bindparam("b_state"),
        action=sa.bindparam("b_action"),
        task_id=sa.bindparam("b_task_id"),
        attempts=sa.bindparam("b_attempts"),
        started_at=sa.bindparam("b_started_at", type_=_T.started_at.type),
        updated_at=sa.bindparam("b_updated_at", type_=_T.updated_at.type),
        task_rev=1,
        todo="",
        phase="",
        percent=None,
        code="",
        reason="",
        finished_at=None,
        rev=_T.rev + 1,
    )
)


async def start(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Targets got their tasks."""
    await (await session.connection()).execute(_STARTED, list(rows))


async def settle(
    session: AsyncSession, target_ids: Collection[str], state: TargetState, reason: str, now: datetime
) -> None:
    """These targets get no task any more."""
    await session.execute(
        sa.update(TARGETS)
        .where(among(_T.id, "ids"))
        .values(
            state=state.value,
            todo="",
            reason=reason,
            attention=sa.and_(_T.todo == Action.REVERT.value, sa.literal(state is TargetState.FAILED)),
            finished_at=now,
            updated_at=now,
            rev=_T.rev + 1,
        ),
        {"ids": sorted(target_ids)},
    )


async def skip_pending(session: AsyncSession, deployment_id: str, reason: str, now: datetime) -> list[str]:
    """All that was to get the release and has no task is left out; which. What may have been changed has failed."""
    return list(
        await session.scalars(
            sa.update(TARGETS)
            .where(_T.deployment_id == deployment_id, _T.todo == Action.INSTALL.value)
            .values(
                state=sa.case((_T.touched, TargetState.FAILED.value), else_=TargetState.SKIPPED.value),
                todo="",
                reason=reason,
                finished_at=now,
                updated_at=now,
                rev=_T.rev + 1,
            )
            .returning(_T.id)
        )
    )


async def undo_all(session: AsyncSession, deployment_id: str, now: datetime) -> list[str]:
    """What may have the release is to go back, but where a later deployment has been since; which."""
    later = TARGETS.alias("later")
    replaced = sa.exists().where(
        later.c.device_id == _T.device_id,
        later.c.release_name == _T.release_name,
        later.c.deployment_id > _T.deployment_id,
        later.c.touched,
        later.c.state != TargetState.ROLLED_BACK.value,
    )
    mine = (_T.deployment_id == deployment_id, _T.touched, _T.outcome != "reverted", ~replaced)
    have = _T.state.in_([TargetState.SUCCEEDED.value, TargetState.FAILED.value])
    interrupted = sa.and_(_T.state == TargetState.PENDING.value, _T.todo == Action.INSTALL.value)
    return list(
        await session.scalars(
            sa.update(TARGETS)
            .where(*mine, sa.or_(have, interrupted))
            .values(todo=Action.REVERT.value, attempts=0, finished_at=None, updated_at=now, rev=_T.rev + 1)
            .returning(_T.id)
        )
    )


async def keep_what_is(session: AsyncSession, deployment_id: str, now: datetime) -> list[str]:
    """What was to go back and has no task stays as it is; which."""
    return list(
        await session.scalars(
            sa.update(TARGETS)
            .where(_T.deployment_id == deployment_id, _T.todo == Action.REVERT.value)
            .values(
                todo="",
                state=sa.case((_T.state == TargetState.PENDING.value, TargetState.FAILED.value), else_=_T.state),
                finished_at=now,
                updated_at=now,
                rev=_T.rev + 1,
            )
            .returning(_T.id)
        )
    )


async def retry(session: AsyncSession, deployment_id: str, states: Collection[TargetState], now: datetime) -> list[str]:
    """Targets in ``states`` are to be tried again; which."""
    return list(
        await session.scalars(
            sa.update(TARGETS)
            .where(
                _T.deployment_id == deployment_id,
                _T.state.in_([state.value for state in states]),
                _T.device_id.is_not(None),
            )
            .values(
                state=TargetState.PENDING.value,
                todo=Action.INSTALL.value,
                attempts=0,
                attention=False,
                outcome="",
                code="",
                reason="",
                finished_at=None,
                updated_at=now,
                rev=_T.rev + 1,
            )
            .returning(_T.id)
        )
    )


def decide(
    session: AsyncSession,
    deployment_id: str,
    kind: str,
    text: str,
    now: datetime,
    *,
    actor: str = "",
    wave: int | None = None,
) -> None:
    """Leave in the log what was decided."""
    session.add(DeploymentDecision(deployment_id=deployment_id, at=now, actor=actor, kind=kind, text=text, wave=wave))
