"""How entries are chained: the hash of each covers all of it, and the hash of the one before.

The hash is SHA-256, in hexadecimal, of the entry as a JSON object without ``hash``: keys sorted, no space between,
every character itself (UTF-8). Whoever has an export can check it with nothing but that sentence.

Invariant: a changed, removed, inserted or reordered entry breaks the chain at that place; entries cut off the end show
against any head that was written down elsewhere.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from app.audit.actions import Action, Actor
from app.audit.models import AuditEntry

GENESIS = "0" * 64
"""The hash before the first entry."""


@dataclass(frozen=True, slots=True)
class Record:
    """Something that was done, before it has its place in the chain. ``details`` is plain JSON without secrets."""

    actor: Actor
    action: Action
    object_id: str = ""
    object_name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def object_kind(self) -> str:
        """To what kind of thing it was done."""
        return self.action.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: the number of its last entry, 0 if there is none, and its hash."""

    seq: int
    hash: str


def canonical(value: Any) -> str:
    """``value`` as the one JSON text that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def exported(entry: AuditEntry) -> dict[str, Any]:
    """An entry as it is shown and exported, with its hash."""
    return {
        "seq": entry.seq,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "actor_kind": entry.actor_kind,
        "actor": entry.actor,
        "actor_id": entry.actor_id,
        "via": entry.via,
        "source_ip": entry.source_ip,
        "action": entry.action,
        "object_kind": entry.object_kind,
        "object_id": entry.object_id,
        "object_name": entry.object_name,
        "details": json.loads(entry.details),
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    }


def hash_of(entry: AuditEntry) -> str:
    """What ``entry.hash`` has to be."""
    body = exported(entry)
    del body["hash"]
    return hashlib.sha256(canonical(body).encode()).hexdigest()
