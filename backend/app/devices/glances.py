"""How devices are, at a glance: the few columns that change while somebody looks, as what is told of them.

A thousand of these are read in a second when a fleet comes or goes, so nothing stands between a row and its event.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import iso_or_none
from app.db import among
from app.devices.models import Device
from app.devices.views import cause, presence
from deployx_protocol.messages import DeviceStatusChanged

_COLUMNS = (
    "id",
    "user_id",
    "node_id",
    "agent_id",
    "device_name",
    "status",
    "last_seen",
    "rev",
    "status_cause",
    "status_detail",
    "status_since",
)
_OF = Device.__table__.c
_QUERY = sa.select(*(_OF[name] for name in _COLUMNS)).where(among(_OF.id, "ids"))


class Glance(NamedTuple):
    """How a device is, and whose it is."""

    user_id: int | None
    change: DeviceStatusChanged


async def glance_rows(session: AsyncSession, ids: Collection[int]) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """What `glances` are made of, of the devices with these ids, whoever's they are."""
    connection = await session.connection()
    return (await connection.execute(_QUERY, {"ids": sorted(ids)})).all()


def glances(rows: Iterable[sa.Row[*tuple[Any, ...]]], live_nodes: Collection[str]) -> dict[int, Glance]:
    """How these devices are, by id."""
    return {row[0]: _glance(row, live_nodes) for row in rows}


def _glance(row: sa.Row[*tuple[Any, ...]], live_nodes: Collection[str]) -> Glance:
    id, user_id, node_id, agent_id, name, status, last_seen, rev, status_cause, detail, since = row
    change = DeviceStatusChanged(
        agent_id=agent_id,
        device_name=name,
        status=presence(status, node_id, live_nodes),
        last_seen=iso_or_none(last_seen),
        id=id,
        rev=rev,
        cause=cause(status_cause),
        detail=detail,
        since=iso_or_none(since),
    )
    return Glance(user_id, change)
