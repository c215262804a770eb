"""Heartbeats on their way to the database: one statement, of one text, whatever their number.

Each row is written past the library's own way to a statement of many, which costs more than what the database does.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import sqlite_moment


class Heartbeat(NamedTuple):
    """The last heartbeat of a session."""

    device_id: int
    epoch: int
    at: datetime


# A device that went offline, or elsewhere, while this node was paused has another epoch or another node.
_SQLITE = "UPDATE devices SET last_seen = ? WHERE id = ? AND session_epoch = ? AND node_id = ?"
_POSTGRESQL = sa.text(
    "UPDATE devices SET last_seen = seen.at FROM"
    " (SELECT device.id, beat.at FROM unnest(:ids, :epochs, :ats) AS beat (id, epoch, at)"
    " JOIN devices AS device ON device.id = beat.id AND device.session_epoch = beat.epoch AND device.node_id = :node"
    " ORDER BY device.id FOR UPDATE OF device) AS seen"  # locked by their ids, as everyone does
    " WHERE devices.id = seen.id"
).bindparams(
    sa.bindparam("ids", type_=postgresql.ARRAY(sa.Integer)),
    sa.bindparam("epochs", type_=postgresql.ARRAY(sa.BigInteger)),
    sa.bindparam("ats", type_=postgresql.ARRAY(sa.TIMESTAMP(timezone=True))),
)


async def save(session: AsyncSession, node_id: str, heartbeats: Iterable[Heartbeat]) -> None:
    """``last_seen`` of devices whose connection is still the one, at this node."""
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        rows = [(sqlite_moment(at), device_id, epoch, node_id) for device_id, epoch, at in heartbeats]
        await connection.exec_driver_sql(_SQLITE, rows)
        return
    ids, epochs, ats = zip(*heartbeats, strict=True)
    values: dict[str, Any] = {"ids": list(ids), "epochs": list(epochs), "ats": list(ats), "node": node_id}
    await connection.execute(_POSTGRESQL, values)
