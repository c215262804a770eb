"""The rows that one batch of registrations touches, loaded once and locked in the order of their ids.

What each arrival changes in its device, and its status event, are written by one statement for the whole batch, past
the session's record of changes: to keep and to compare that costs more than all else that a registration needs of the
database. What changes seldom goes the usual way.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, cast

import sqlalchemy as sa

from app.db import UpdateOfRows, among
from app.devices import enrollment, identity, repository
from app.devices.models import Claim, Device, EnrollmentToken, RefusedKey
from app.devices.status_events import STATUS_EVENTS
from app.hints import HintKind
from app.uow import Unit
from deployx_protocol import limits
from deployx_protocol.messages import AgentRegister
from deployx_protocol.tasks import TaskCode

_NAMED = (
    sa.select(Device)
    .where(
        sa.or_(
            among(sa.inspect(Device).columns.public_key, "keys"),
            among(sa.inspect(Device).columns.machine_id, "machine_ids"),
            among(sa.inspect(Device).columns.agent_id, "agent_ids"),
        )
    )
    .order_by(Device.id)
    .with_for_update()
)
_REFUSED = sa.select(RefusedKey).where(among(sa.inspect(RefusedKey).columns.public_key, "keys"))
_UNANSWERED = (
    sa.select(Claim)
    .where(Claim.state.in_(("open", "splitting")), among(sa.inspect(Claim).columns.device_id, "ids"))
    .order_by(Claim.id)
)
_SESSION = (
    "boot_id",
    "node_id",
    "last_seen",
    "session_epoch",
    "rev",
    "http_token_hash",
    "generation",
    "generation_issued",
    "status",
    "status_cause",
    "status_detail",
    "status_since",
)
"""Columns of a device that each arrival changes."""
_ARRIVE = UpdateOfRows(cast("sa.Table", Device.__table__), _SESSION)
_read = itemgetter(*_SESSION, "id")


class Rows:
    """Devices by each of their identities, tokens, refusals and unanswered claims, kept in step as they change."""

    def __init__(self, unit: Unit, node_id: str, now: datetime) -> None:
        self.unit = unit
        self.node_id = node_id
        self.live_nodes: Collection[str] = ()
        self.now = now
        self.by_key: dict[str, Device] = {}
        self.by_machine: dict[str, Device] = {}
        self.by_agent: dict[str, Device] = {}
        self.tokens: dict[str, EnrollmentToken] = {}
        self.refused: dict[str, RefusedKey] = {}
        self.claims: list[Claim] = []
        self.boots: dict[int, str] = {}
        """Boot id of whoever registered in this batch, by device: live as soon as it is committed."""
        self.forgotten: dict[int, TaskCode] = {}
        """Devices whose agents no longer know what they had been given, and why."""
        self._waiting: int | None = None
        self._arrived: dict[int, Device] = {}
        self._events: list[tuple[Any, ...]] = []

    @classmethod
    async def load(cls, unit: Unit, messages: Sequence[AgentRegister], node_id: str, now: datetime) -> "Rows":
        """Every row that ``messages`` name."""
        rows = cls(unit, node_id, now)
        session = unit.session
        keys = {message.public_key for message in messages if message.keyed}
        named = {
            "keys": keys,
            "machine_ids": {message.machine_id for message in messages},
            "agent_ids": {message.agent_id for message in messages},
        }
        devices = list(await session.scalars(_NAMED, named))
        for device in devices:
            rows.index(device)
        presented = {message.enrollment_token for message in messages if message.enrollment_token}
        if presented:
            rows.tokens = await enrollment.lock_tokens(session, presented)
        unknown = keys - rows.by_key.keys()
        if unknown:
            rows.refused = {row.public_key: row for row in await session.scalars(_REFUSED, {"keys": unknown})}
        rows.claims = list(await session.scalars(_UNANSWERED, {"ids": [device.id for device in devices]}))
        return rows

    def arrive(self, device: Device, session: dict[str, Any], event: tuple[Any, ...] | None) -> None:
        """``device``, which is in the database, has a new session: values for columns of ``_SESSION``, and for one of
        ``STATUS_EVENTS``, if its status changes."""
        vars(device).update(session)
        self._arrived[device.id] = device
        if event:
            self._events.append(event)

    async def write(self) -> None:
        """Save what the session does not keep a record of."""
        if not self._arrived:
            return
        await self.unit.session.flush()  # before what is newer
        arrived = [vars(self._arrived[device_id]) for device_id in sorted(self._arrived)]
        await _ARRIVE.execute(self.unit.session, map(_read, arrived))
        if self._events:
            await STATUS_EVENTS.execute(self.unit.session, self._events)

    async def room_to_wait(self, most: int) -> bool:
        """Whether one more device may wait to be accepted, of at most ``most``; True counts it."""
        if self._waiting is None:
            self._waiting = await repository.waiting(self.unit.session, most)
        if self._waiting >= most:
            return False
        self._waiting += 1
        return True

    def index(self, device: Device) -> None:
        """Find ``device`` by what it goes by now."""
        if device.public_key:
            self.by_key[device.public_key] = device
        self.by_machine[device.machine_id] = device
        self.by_agent[device.agent_id] = device

    def rename(self, device: Device, *, machine_id: str, agent_id: str) -> None:
        """Give ``device`` these ids, which must be free by now."""
        if self.by_machine.get(device.machine_id) is device:
            del self.by_machine[device.machine_id]
        if self.by_agent.get(device.agent_id) is device:
            del self.by_agent[device.agent_id]
        device.machine_id, device.agent_id = machine_id, agent_id
        self.index(device)

    async def give_way(self, other: Device) -> None:
        """An unverified row leaves its ids to a device with a key, or to a newer client."""
        self.rename(
            other,
            machine_id=identity.free_name(other.machine_id, str(other.id), limits.MACHINE_ID_MAX),
            agent_id=identity.free_name(other.agent_id, str(other.id), limits.AGENT_ID_MAX),
        )
        other.rev += 1
        self.unit.hint(HintKind.DEVICE_ROW, other.id)
        await self.unit.session.flush()  # the unique columns are free before someone else takes them

    async def follow_names(self, device: Device, message: AgentRegister) -> None:
        """A renamed machine keeps its row and gets its new ids, unless another device with a key has them."""
        wanted = {"machine_id": message.machine_id, "agent_id": message.agent_id}
        if wanted == {"machine_id": device.machine_id, "agent_id": device.agent_id}:
            return
        holders = {
            "machine_id": self.by_machine.get(message.machine_id),
            "agent_id": self.by_agent.get(message.agent_id),
        }
        for column, holder in holders.items():
            if holder is None or holder is device:
                continue
            if holder.public_key:
                wanted[column] = getattr(device, column)
            else:
                await self.give_way(holder)
        self.rename(device, **wanted)
