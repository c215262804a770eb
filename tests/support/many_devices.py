"""Devices in numbers, written at once."""

import secrets
from typing import Any

import sqlalchemy as sa

from app.clock import utcnow
from app.devices.models import Device
from tests.support.node import RunningNode
from tests.support.server import Person


async def fleet(node: RunningNode, owner: Person | None, count: int, **values: Any) -> None:
    """Devices straight into the database."""
    row = {
        "platform": "Linux",
        "ip_address": "192.0.2.1",
        "source_ip": "192.0.2.1",
        "status": "offline",
        "created_at": utcnow(),
        "user_id": owner.id if owner else None,
        "trust": "trusted",
        "facts": {},
        "fingerprint": {},
        "tags": {},
        "generation_forks": [],
        **values,
    }
    names = [secrets.token_hex(8) for _ in range(count)]
    async with node.db.write() as session:
        rows = [{**row, **dict.fromkeys(("agent_id", "device_name", "hostname", "machine_id"), n)} for n in names]
        await session.execute(sa.insert(Device), rows)
