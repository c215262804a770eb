"""Heartbeats on their way to the database: one statement for many, of one text, whatever their number."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
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
_SQLITE = sa.text(
    "UPDATE devices SET last_seen = beat.at FROM"
    " (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS epoch,"
    " json_extract(value, '$[2]') AS at"
    " FROM json_each(:beats)) AS beat"
    " WHERE devices.id = beat.id AND devices.session_epoch = beat.epoch AND devices.node_id = :node"
)
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
        beats = [(device_id, epoch, sqlite_moment(at)) for device_id, epoch, at in heartbeats]
        await connection.execute(_SQLITE, {"beats": msgspec.json.encode(beats).decode(), "node": node_id})
        return
    ids, epochs, ats = zip(*heartbeats, strict=True)
    values: dict[str, Any] = {"ids": list(ids), "epochs": list(epochs), "ats": list(ats), "node": node_id}
    await connection.execute(_POSTGRESQL, values)
