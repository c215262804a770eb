"""One node asks another whether a connection is alive: by a row, which the other answers.

Invariant: only the node that the device's row names answers, and only about the session that was asked about; whoever
asked believes the row alone. All of it raises Unavailable.
"""

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from app.db import Database
from app.devices.models import Device, Probe
from app.hints import HintKind
from app.ids import new_id
from app.uow import UnitOfWork

FORGET_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Question:
    """Is this session of a device alive?"""

    id: str
    device_id: int
    epoch: int


class ProbeService:
    """Asks and answers for the node ``node_id``."""

    def __init__(self, uow: UnitOfWork, db: Database, node_id: str) -> None:
        self._uow = uow
        self._db = db
        self._node_id = node_id

    async def ask(self, device_id: int, epoch: int) -> Question:
        """Put the question; the node that has the session finds it."""
        question = Question(new_id(), device_id, epoch)
        async with self._uow.begin() as unit:
            asked_at = sa.func.clock_timestamp()
            await unit.session.execute(
                sa.insert(Probe).values(id=question.id, device_id=device_id, epoch=epoch, asked_at=asked_at)
            )
            unit.hint(HintKind.PROBE, device_id)
        return question

    async def answered(self, question: Question) -> bool | None:
        """The answer; None while there is none."""
        async with self._db.read() as session:
            alive: bool | None = await session.scalar(sa.select(Probe.alive).where(Probe.id == question.id))
            return alive

    async def take_back(self, question: Question) -> None:
        """It was answered, or is not waited for any more."""
        async with self._db.write() as session:
            await session.execute(sa.delete(Probe).where(Probe.id == question.id))

    async def asked(self) -> list[Question]:
        """What this node is asked; what nobody waits for any more is forgotten."""
        query = sa.select(Probe.id, Probe.device_id, Probe.epoch, Probe.asked_at).join(Device)
        ours = query.where(Device.node_id == self._node_id, Device.session_epoch == Probe.epoch, Probe.alive.is_(None))
        async with self._db.read() as session:
            found = [Question(id, device_id, epoch) for id, device_id, epoch, _ in await session.execute(ours)]
            old = sa.select(Probe.id).where(Probe.asked_at < sa.func.clock_timestamp() - FORGET_AFTER)
            forgotten = list(await session.scalars(old))
        if forgotten:
            async with self._db.write() as session:
                await session.execute(sa.delete(Probe).where(Probe.id.in_(forgotten)))
        return found

    async def answer(self, question: Question, *, alive: bool) -> None:
        """What this node found, if it is still the one to ask."""
        ours = sa.exists().where(
            Device.id == Probe.device_id, Device.node_id == self._node_id, Device.session_epoch == Probe.epoch
        )
        async with self._uow.begin() as unit:
            await unit.session.execute(sa.update(Probe).where(Probe.id == question.id, ours).values(alive=alive))
            unit.hint(HintKind.PROBED, question.device_id)
