"""Writing the tasks of a run, many at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import given, table_of
from app.tasks.rows import TASKS
from deployx_protocol.tasks import TaskState

_INSERTED = 1_000


class NewTask(NamedTuple):
    """What of a new task is its own; ``borrowed`` as in ``Task``."""

    id: str
    device_id: int
    device_name: str
    borrowed: bool


async def insert_tasks(
    session: AsyncSession, run_id: str, made: Sequence[NewTask], created_at: datetime, deadline_at: datetime
) -> None:
    """Write new tasks of a run, a thousand at a time, so that whoever else uses this process is not kept waiting."""
    connection = await session.connection()
    of_run = {"run_id": run_id, "created_at": created_at, "deadline_at": deadline_at}
    for start in range(0, len(made), _INSERTED):
        some = made[start : start + _INSERTED]
        if connection.dialect.name == "sqlite":
            await connection.execute(_INSERT_JSON, {"made": msgspec.json.encode(some).decode(), **of_run})
        else:
            await connection.execute(_INSERT_ARRAYS, given("made", _OWN, some) | of_run)


_OWN = NewTask._fields


def _insert(own: Sequence[sa.ColumnElement[Any]]) -> sa.Insert:
    """One statement of one text, whatever the number of rows, which is told once what is the same in all of them."""
    of_run = [sa.bindparam(name, type_=TASKS.c[name].type) for name in ("run_id", "created_at", "deadline_at")]
    queued = sa.literal(TaskState.QUEUED.value)
    names = [*_OWN, *(one.key for one in of_run), "state"]
    return sa.insert(TASKS).from_select(names, sa.select(*own, *of_run, queued))


_JSON = sa.func.json_each(sa.bindparam("made", type_=sa.Text)).table_valued("value").c.value
_INSERT_JSON = _insert([_JSON.op("->>")(sa.literal_column(str(place))) for place in range(len(_OWN))])
_INSERT_ARRAYS = _insert(list(table_of("made", {name: TASKS.c[name].type for name in _OWN}).c))
