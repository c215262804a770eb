"""What the routes of the record answer."""

from typing import Any

from pydantic import BaseModel


class AuditEntryView(BaseModel):
    """One thing that was done. ``hash`` is that of everything else here, as docs/security.md says."""

    seq: int
    at: str
    actor_kind: str
    actor: str
    actor_id: int | None
    via: str
    source_ip: str
    action: str
    object_kind: str
    object_id: str
    object_name: str
    details: dict[str, Any]
    prev_hash: str
    hash: str


class AuditPage(BaseModel):
    """Entries, newest first; the last page's cursor is null."""

    items: list[AuditEntryView]
    next_cursor: str | None


class AuditHeadView(BaseModel):
    """Where the chain ends. Write it down elsewhere: against it, entries cut off the end show."""

    seq: int
    hash: str
