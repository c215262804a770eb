"""What a schedule can start. Each kind is a ``Starter``; the rest of the package knows none of them by name.

Invariant: under one key a starter starts one thing, however often and on however many servers it is asked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.deployments.models import Deployment
from app.deployments.schemas import DeploymentRequest
from app.deployments.starting import Starting
from app.errors import InvalidInput
from app.schedules.models import Firing
from app.schedules.schemas import Action, DeploymentAction, RunAction
from app.tasks import runs_repository, targets
from app.tasks.models import Run
from app.tasks.runs import RunService
from app.tasks.schemas import RunRequest
from app.tasks.work import work_of


@dataclass(frozen=True, slots=True)
class Began:
    """What was started: the column of a firing that names it, and its id."""

    column: str
    id: str


class Starter(Protocol):
    """One kind of action."""

    permission: Permission
    """What somebody has to have to do it by hand, and so by a schedule."""
    column: str
    """Of a firing: the id of what was started."""

    async def check(self, principal: Principal, action: Action) -> int:
        """How many devices it would reach now. Raises InvalidInput for what could never be started."""

    def what(self, action: Action) -> str:
        """The action in a line."""

    async def began(self, session: AsyncSession, user_id: int, key: str) -> Began | None:
        """What was started under ``key`` already."""

    async def start(self, principal: Principal, action: Action, key: str) -> Began:
        """Start it. Raises what the request by hand raises."""

    async def unfinished(self, session: AsyncSession, ids: Collection[str]) -> int:
        """How many of these are not over."""


class DeploymentStarter:
    """Starts deployments."""

    permission = Permission.DEPLOYMENTS_WRITE
    column = Firing.deployment_id.key

    def __init__(self, starting: Starting) -> None:
        self._starting = starting

    async def check(self, principal: Principal, action: Action) -> int:
        """How many devices the deployment would reach now."""
        return (await self._starting.preview(principal, _deployment(action))).total

    def what(self, action: Action) -> str:
        """The release."""
        return _deployment(action).release

    async def began(self, session: AsyncSession, user_id: int, key: str) -> Began | None:
        """The deployment with this key."""
        query = sa.select(Deployment.id).where(Deployment.user_id == user_id, Deployment.idempotency_key == key)
        found = await session.scalar(query)
        return Began(self.column, found) if found else None

    async def start(self, principal: Principal, action: Action, key: str) -> Began:
        """Start a deployment."""
        return Began(self.column, (await self._starting.create(principal, _deployment(action), key)).id)

    async def unfinished(self, session: AsyncSession, ids: Collection[str]) -> int:
        """Deployments that may still do something."""
        query = sa.select(sa.func.count()).select_from(Deployment)
        return await session.scalar(query.where(Deployment.id.in_(ids), Deployment.finished_at.is_(None))) or 0


class RunStarter:
    """Starts runs."""

    permission = Permission.RUNS_WRITE
    column = Firing.run_id.key

    def __init__(self, runs: RunService) -> None:
        self._runs = runs

    async def check(self, principal: Principal, action: Action) -> int:
        """How many devices the run would reach now."""
        request = _run(action)
        if request.envelope is not None:
            raise InvalidInput(
                "A signed run is good for once, so it cannot be scheduled; a policy that demands signatures refuses "
                "scheduled runs.",
                code="signed_run",
            )
        work_of(request, 0)
        targets.check(request.targets)
        return (await self._runs.preview(principal, request)).total

    def what(self, action: Action) -> str:
        """What runs."""
        return work_of(_run(action), 0).title

    async def began(self, session: AsyncSession, user_id: int, key: str) -> Began | None:
        """The run with this key."""
        run = await runs_repository.by_key(session, user_id, key)
        return Began(self.column, run.id) if run else None

    async def start(self, principal: Principal, action: Action, key: str) -> Began:
        """Start a run."""
        started = await self._runs.start(principal, _run(action), key)
        return Began(self.column, started.run.id)

    async def unfinished(self, session: AsyncSession, ids: Collection[str]) -> int:
        """Runs with a task that is not over."""
        query = sa.select(sa.func.count()).select_from(Run).where(Run.id.in_(ids), Run.finished_at.is_(None))
        return await session.scalar(query) or 0


Starters = Mapping[str, Starter]
"""By the kind of their action."""


_ACTION: TypeAdapter[Action] = TypeAdapter(Action)


def parsed(stored: dict[str, object]) -> Action:
    """An action as it stands in a row."""
    return _ACTION.validate_python(stored)


def _deployment(action: Action) -> DeploymentRequest:
    assert isinstance(action, DeploymentAction)
    return action.request


def _run(action: Action) -> RunRequest:
    assert isinstance(action, RunAction)
    return action.request
