"""Deleting what has outlived its retention, a batch at a time.

Invariant: no transaction deletes more than ``BATCH`` rows, so that whoever writes meanwhile (agents, above all) waits
for milliseconds, however much has gathered.
"""

import sqlalchemy as sa

from app.db import Base, Database

BATCH = 500


async def delete_where(db: Database, model: type[Base], *conditions: sa.ColumnElement[bool]) -> int:
    """Delete all rows of ``model`` that meet every condition; how many there were. Raises Unavailable.

    Rows that another transaction holds, such as those that another server is deleting, are left for the next time.
    """
    columns = sa.inspect(model).primary_key
    doomed = sa.select(*columns).where(*conditions).limit(BATCH).with_for_update(skip_locked=True)
    deleted = 0
    while True:
        async with db.write() as session:
            keys = [tuple(key) for key in await session.execute(doomed)]
            named = columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else sa.tuple_(*columns).in_(keys)
            if keys:
                await session.execute(sa.delete(model).where(named).execution_options(synchronize_session=False))
        deleted += len(keys)
        if len(keys) < BATCH:
            return deleted
