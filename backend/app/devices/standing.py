"""What the rows say of devices and claims whose agents are connected to one node, for it to compare with what it knows.

All of it raises Unavailable.
"""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from app.db import Database
from app.devices.models import Claim, Device
from deployx_protocol.states import DeviceStatus, Trust


@dataclass(frozen=True, slots=True)
class Standing:
    """Which session speaks for a device, at which node, and what the device may be given."""

    epoch: int
    node_id: str | None
    trust: str


class StandingService:
    """Reads for the node ``node_id``."""

    def __init__(self, db: Database, node_id: str) -> None:
        self._db = db
        self.node_id = node_id

    async def of(self, device_ids: Collection[int]) -> dict[int, Standing]:
        """Those of these devices that there are."""
        query = sa.select(Device.id, Device.session_epoch, Device.node_id, Device.trust)
        async with self._db.read() as session:
            rows = await session.execute(query.where(Device.id.in_(device_ids)))
            return {id: Standing(epoch, node_id, trust) for id, epoch, node_id, trust in rows}

    async def untrusted_here(self) -> dict[int, str]:
        """Device id → trust of those that are connected to this node and are not to be given work."""
        query = sa.select(Device.id, Device.trust).where(
            Device.node_id == self.node_id, Device.status == DeviceStatus.ONLINE, Device.trust != Trust.TRUSTED
        )
        async with self._db.read() as session:
            return {row.id: row.trust for row in await session.execute(query)}

    async def open_claims(self, claim_ids: Collection[int]) -> set[int]:
        """Which of these claims nobody has answered."""
        query = sa.select(Claim.id).where(Claim.id.in_(claim_ids), Claim.state == "open")
        async with self._db.read() as session:
            return set(await session.scalars(query))
