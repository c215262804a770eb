"""What a schedule can start. Each kind is a ``Starter``; the rest of the package knows none of them by name.

Invariant: under one key a starter starts one thing, however often and on however many servers it is asked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.errors import InvalidInput
from app.schedules.models import Firing
from app.schedules.schemas import Action, RunAction
from app.tasks import runs_repository, targets
from app.tasks.models import Run
from app.tasks.runs import RunService
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


class RunStarter:
    """Starts runs."""

    permission = Permission.RUNS_WRITE
    column = Firing.run_id.key

    def __init__(self, runs: RunService) -> None:
        self._runs = runs

    async def check(self, principal: Principal, action: Action) -> int:
        """How many devices the run would reach now."""
        request = action.request
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
        return work_of(action.request, 0).title

    async def began(self, session: AsyncSession, user_id: int, key: str) -> Began | None:
        """The run with this key."""
        run = await runs_repository.by_key(session, user_id, key)
        return Began(self.column, run.id) if run else None

    async def start(self, principal: Principal, action: Action, key: str) -> Began:
        """Start a run."""
        started = await self._runs.start(principal, action.request, key)
        return Began(self.column, started.run.id)

    async def unfinished(self, session: AsyncSession, ids: Collection[str]) -> int:
        """Runs with a task that is not over."""
        query = sa.select(sa.func.count()).select_from(Run).where(Run.id.in_(ids), Run.finished_at.is_(None))
        return await session.scalar(query) or 0


Starters = Mapping[str, Starter]
"""By the kind of their action."""


def parsed(stored: dict[str, object]) -> Action:
    """An action as it stands in a row."""
    return RunAction.model_validate(stored)
