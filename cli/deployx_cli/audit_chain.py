"""Checking an export of the audit record: nothing in it was changed, taken out, put in or moved.

Each line is a JSON object. Its ``hash`` is the SHA-256 of the same object without ``hash``, written with sorted keys,
without spaces, in UTF-8; its ``prev_hash`` is the hash of the line before. Nothing of the server's is used to check it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64


class Broken(Exception):
    """The record is not what it was. The message says where and how."""


@dataclass(frozen=True, slots=True)
class Head:
    """An entry that the record has to have: its number and its hash."""

    seq: int
    hash: str

    @classmethod
    def of(cls, text: str) -> "Head":
        """``SEQ:HASH``. Raises ValueError."""
        seq, _, digest = text.partition(":")
        if len(digest) != len(GENESIS) or set(digest) - set("0123456789abcdef"):
            raise ValueError(text)
        return cls(int(seq), digest)

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verified:
    """A whole record: its first entry's number, and where it ends."""

    first: int
    count: int
    head: Head


def verify(lines: Iterable[str], known: Iterable[Head] = ()) -> Verified:
    """Check a whole export, oldest first, also against heads that are ``known`` from earlier. Raises Broken."""
    wanted = {head.seq: head.hash for head in known if head.seq}
    first = pruned_through = count = 0
    at = Head(0, GENESIS)
    for line in lines:
        entry = _entry(line, count + 1)
        seq = entry["seq"]
        if count == 0:
            first, at = seq, Head(seq - 1, GENESIS if seq == 1 else str(entry["prev_hash"]))
        if seq != at.seq + 1:
            raise Broken(f"After entry {at.seq} comes {seq}: what was between them is gone.")
        if entry["prev_hash"] != at.hash:
            raise Broken(f"Entry {seq} does not follow entry {at.seq}: one of them was changed or put in.")
        if wanted.pop(seq, entry["hash"]) != entry["hash"]:
            raise Broken(f"Entry {seq} is another one than it was: the record was written anew.")
        if entry["action"] == "audit.pruned":
            pruned_through = max(pruned_through, int(entry["details"]["through_seq"]))
        at = Head(seq, entry["hash"])
        count += 1
    if first > pruned_through + 1:
        raise Broken(f"The record begins at entry {first}, and nothing in it says that the ones before were pruned.")
    missing = [seq for seq in wanted if seq > at.seq]
    if missing:
        raise Broken(f"The record ends at entry {at.seq}, but entry {max(missing)} is known: its end was cut off.")
    return Verified(first, count, at)


def _entry(line: str, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        told = entry.pop("hash")
        whole = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if hashlib.sha256(whole).hexdigest() != told:
            raise Broken(f"Entry {entry['seq']} was changed: its hash does not fit it.")
        if not isinstance(entry["seq"], int) or entry["seq"] < 1 or "prev_hash" not in entry or "action" not in entry:
            raise ValueError(line)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Broken(f"Line {number} is no entry of an audit record.") from None
    return {**entry, "hash": told}
