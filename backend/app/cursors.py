"""Cursors of keyset pages: where a page ended, as the last row was read, which may have changed or gone since.

Invariant: whatever a client sends as a cursor either is a position in the very list that it asks for, or is refused.
"""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.errors import InvalidInput

_ID_MAX = 2**31


def write(made_for: str, position: Sequence[str | int | datetime]) -> str:
    """The cursor for ``position`` (sorted values, then the id) in the list ``made_for``."""
    values = [value.isoformat() if isinstance(value, datetime) else value for value in position]
    return base64.urlsafe_b64encode(json.dumps([made_for, *values]).encode()).decode().rstrip("=")


def read(cursor: str, made_for: str, kinds: Sequence[type]) -> list[Any]:
    """The position: one value of each of ``kinds`` (str, int, datetime). Raises InvalidInput."""
    try:
        found, *values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if found != made_for:
            raise ValueError(found)
        return [_value(value, kind) for value, kind in zip(values, kinds, strict=True)]
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise InvalidInput("This cursor does not belong to this list; start again without one.") from None


def _value(value: Any, kind: type) -> str | int | datetime:
    if kind is int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _ID_MAX:
            raise ValueError(value)
        return value
    if not isinstance(value, str) or b"\x00" in value.encode():  # which fails on half a surrogate pair
        raise ValueError(value)  # databases take neither
    return datetime.fromisoformat(value).astimezone(UTC) if kind is datetime else value
