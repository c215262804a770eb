"""Enrolment from the side of the database: tokens, and what registrations have made of them."""

from typing import Any

import sqlalchemy as sa

from app.audit.actions import SERVER
from app.devices.enrollment import EnrollmentService
from app.devices.models import EnrollmentToken
from app.uow import UnitOfWork
from tests.support.node import RunningNode, eventually
from tests.support.server import Person


async def token_for(node: RunningNode, owner: Person, **options: Any) -> str:
    """An enrolment token of ``owner``."""
    service = EnrollmentService(UnitOfWork(node.db, lambda _: None), node.db, node.settings)
    return (await service.create(owner.id, SERVER, name="test", **options)).token


async def uses(node: RunningNode) -> list[int]:
    """How often each token was used, the oldest first."""
    async with node.db.read() as session:
        return list(await session.scalars(sa.select(EnrollmentToken.uses).order_by(EnrollmentToken.created_at)))


async def settled(node: RunningNode) -> None:
    """Until the heartbeats and acknowledgements sent so far are in the database."""
    sent = [row.generation_issued for row in await node.devices()]

    async def confirmed() -> bool:
        return [row.generation for row in await node.devices()] == sent

    await eventually(confirmed, what="confirmations")
