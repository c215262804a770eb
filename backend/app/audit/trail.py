"""Appending to the record, as the last thing that a transaction does.

Invariants: an entry commits with the change that it records or not at all; numbers have no gaps; the row of the head is
locked last, for the length of a commit, so that nothing waits for it while holding what another one needs.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.chain import Head, Record, canonical, hash_of
from app.audit.models import AuditEntry, AuditHead

_HEAD = 1
NAME_MAX = 300


async def append(session: AsyncSession, records: Sequence[Record], at: datetime) -> None:
    """Give ``records`` their places at the end of the chain."""
    await session.flush()
    head = await session.get_one(AuditHead, _HEAD, with_for_update=True, populate_existing=True)
    for record in records:
        entry = AuditEntry(
            seq=head.seq + 1,
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
            prev_hash=head.hash,
        )
        entry.hash = hash_of(entry)
        session.add(entry)
        head.seq, head.hash = entry.seq, entry.hash


async def head_of(session: AsyncSession) -> Head:
    """Where the chain ends now."""
    seq, digest = (await session.execute(sa.select(AuditHead.seq, AuditHead.hash))).one()
    return Head(seq, digest)


def _text(name: str) -> str:
    """``name`` as both databases take it."""
    return name[:NAME_MAX].replace("\x00", "�").encode("utf-8", "replace").decode()
