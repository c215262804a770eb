"""Wall-clock time as the server writes it: UTC, aware, ISO 8601 with ``Z`` on the wire."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utcnow() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """``moment`` as the wire has it, to the millisecond."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def iso_or_none(moment: datetime | None) -> str | None:
    """``iso``, or None for what never happened."""
    return iso(moment) if moment else None
