"""What the tests of deployments share: a fleet without sockets on each kind of database, and people."""

from collections.abc import Awaitable, Callable

import pytest

from app.accounts.permissions import Role
from app.accounts.principal import Principal
from app.accounts.service import AccountService
from app.db import Database
from app.hints import Hint
from app.uow import UnitOfWork
from tests.support.rollouts import Rollout
from tests.support.server import PASSWORD, ManualClock

MakePrincipal = Callable[..., Awaitable[Principal]]


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the deployments under test."""
    return ManualClock()


@pytest.fixture
async def rollout(db: Database, uow: UnitOfWork, hints: list[Hint], clock: ManualClock) -> Rollout:
    """Deployments whose controller the test turns by hand."""
    made = Rollout(db, uow, hints, clock)
    await made.lead()
    return made


@pytest.fixture
def somebody(accounts: AccountService) -> MakePrincipal:
    """Makes people who speak to the services."""

    async def make(email: str = "ada@example.test", role: Role = Role.OPERATOR) -> Principal:
        user = await accounts.create_user(email, PASSWORD, role)
        return Principal(user.id, email, role.value, session_id="s", proven_at=None)

    return make
