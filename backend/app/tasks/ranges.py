"""``Range: bytes=…`` as RFC 9110 has it, for one range; several at once are answered with everything."""

import re

_ONE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The range begins after the end."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, end) with ``end`` excluded; None: everything. Raises Unsatisfiable."""
    found = _ONE.fullmatch(header) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None  # not a range at all: to be ignored
    if start >= size or end <= start:
        raise Unsatisfiable
    return start, end
