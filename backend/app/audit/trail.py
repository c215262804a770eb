"""Appending to the record, as the last thing that a transaction does.

Invariants: an entry commits with the change that it records or not at all; numbers have no gaps; the row of the head is
locked last, for the length of a commit, so that nothing waits for it while holding what another one needs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.chain import Head, Record, canonical, hash_of
from app.audit.models import AuditEntry, AuditHead

NAME_MAX = 300
_ENTRIES, _HEAD = cast("sa.Table", AuditEntry.__table__), cast("sa.Table", AuditHead.__table__)
_COLUMNS = _ENTRIES.c.keys()
_READ_HEAD = sa.select(_HEAD.c.seq, _HEAD.c.hash)
_LOCK_HEAD = _READ_HEAD.with_for_update()
_MOVE_HEAD = sa.update(_HEAD).values(seq=sa.bindparam("its_seq"), hash=sa.bindparam("its_hash"))


async def append(session: AsyncSession, records: Sequence[Record], at: datetime) -> None:
    """Give ``records`` their places at the end of the chain."""
    await session.flush()
    connection = await session.connection()
    seq, digest = (await connection.execute(_LOCK_HEAD)).one()
    entries: list[dict[str, Any]] = []
    for record in records:
        entry = AuditEntry(
            seq=seq + 1,
            at=at,
            actor_kind=record.actor.kind.value,
            actor=_text(record.actor.name),
            actor_id=record.actor.id,
            via=record.actor.via,
            source_ip=record.actor.source_ip,
            action=record.action.value,
            object_kind=record.object_kind,
            object_id=record.object_id,
            object_name=_text(record.object_name),
            details=canonical(record.details),
            prev_hash=digest,
        )
        seq, digest = entry.seq, hash_of(entry)
        entry.hash = digest
        entries.append({name: getattr(entry, name) for name in _COLUMNS})
    await connection.execute(sa.insert(_ENTRIES), entries)
    await connection.execute(_MOVE_HEAD, {"its_seq": seq, "its_hash": digest})


async def head_of(session: AsyncSession) -> Head:
    """Where the chain ends now."""
    seq, digest = (await session.execute(_READ_HEAD)).one()
    return Head(seq, digest)


def _text(name: str) -> str:
    """``name`` as both databases take it."""
    return name[:NAME_MAX].replace("\x00", "�").encode("utf-8", "replace").decode()
