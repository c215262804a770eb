"""What agents have stored, on its way to the database: past the library's own way, as ``heartbeats`` goes."""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession


class Confirmation(NamedTuple):
    """A session whose agent has stored ``generation``."""

    device_id: int
    epoch: int
    generation: int


# Who has registered again since then has another epoch, and another generation to store.
_SQLITE = (
    "UPDATE devices SET generation = generation_issued WHERE id = ? AND session_epoch = ? AND generation_issued = ?"
)
_POSTGRESQL = sa.text(
    "UPDATE devices SET generation = generation_issued FROM"
    " (SELECT device.id FROM unnest(:ids, :epochs, :generations) AS stored (id, epoch, generation)"
    " JOIN devices AS device ON device.id = stored.id AND device.session_epoch = stored.epoch"
    " AND device.generation_issued = stored.generation"
    " ORDER BY device.id FOR UPDATE OF device) AS confirmed"  # locked by their ids, as everyone does
    " WHERE devices.id = confirmed.id"
).bindparams(
    sa.bindparam("ids", type_=postgresql.ARRAY(sa.Integer)),
    sa.bindparam("epochs", type_=postgresql.ARRAY(sa.BigInteger)),
    sa.bindparam("generations", type_=postgresql.ARRAY(sa.BigInteger)),
)


async def save(session: AsyncSession, confirmations: Iterable[Confirmation]) -> None:
    """The generation that was handed out is the one that the agent has, if it is the newest."""
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql(_SQLITE, list(confirmations))
        return
    columns = map(list, zip(*confirmations, strict=True))
    await connection.execute(_POSTGRESQL, dict(zip(("ids", "epochs", "generations"), columns, strict=True)))
