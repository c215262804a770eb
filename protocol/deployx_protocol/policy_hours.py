"""When a machine lets work start. Pure but for the time zones of the system."""

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]


class Hours(Struct, frozen=True, forbid_unknown_fields=True):
    """When work may start. A window that ends before it begins lasts into the next day, and counts to its first."""

    begin: Clock = msgspec.field(name="from")
    end: Clock = msgspec.field(name="to")
    zone: str
    days: Annotated[list[Day], Meta(min_length=1)] = msgspec.field(default_factory=lambda: list(DAYS))

    def __post_init__(self) -> None:
        if self.begin == self.end or self.begin == "24:00":
            raise ValueError('`hours` has to be a span: from = "00:00", to = "24:00" is the whole day')
        _zone(self.zone)

    def opens_at(self, now: datetime) -> datetime:
        """When work may start next; ``now`` if it may already."""
        today = now.astimezone(_zone(self.zone)).date()
        for ahead in range(-1, 9):
            day = today + timedelta(days=ahead)
            if DAYS[day.weekday()] in self.days:
                opens, closes = self._at(day, self.begin), self._at(day, self.end)
                if closes <= opens:
                    closes = self._at(day + timedelta(days=1), self.end)
                if now < closes:
                    return max(now, opens)
        raise AssertionError("a week has all days")

    def _at(self, day: Any, clock: str) -> datetime:
        hour, minute = map(int, clock.split(":"))
        if hour == 24:
            day, hour = day + timedelta(days=1), 0
        return datetime.combine(day, time(hour, minute), _zone(self.zone)).astimezone(UTC)

    def words(self) -> str:
        """As people read it."""
        days = "" if len(set(self.days)) == len(DAYS) else f" on {', '.join(self.days)}"
        return f"{self.begin} to {self.end} {self.zone}{days}"


def _zone(name: str) -> Any:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # few agents need it, and their memory is counted

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"this machine does not know the time zone {name!r}") from None
