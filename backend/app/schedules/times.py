"""When a schedule is due: a pure function of its timing and a moment, by the clocks of its time zone.

Invariants: the times of a schedule grow strictly; a time that a clock skips happens once, right after the gap, and one
that it shows twice happens once, the first time (intervals such as ``*/15 * * * *`` go by real time instead, so they
neither pause nor repeat); a time outside all windows is no time of the schedule.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from app.errors import InvalidInput

CRON_MAX = 200
WINDOWS_MAX = 20
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_TRIES = 1_000
"""How many times of the cron, each in another stretch outside the windows, are tried before it is said to miss all."""
_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days of the week, in minutes after midnight; one that ends before it begins lasts past midnight.

    The days are those on which it begins.
    """

    days: frozenset[int]
    start: int
    end: int

    def holds(self, local: datetime) -> bool:
        """Whether ``local`` is within it."""
        minute = local.hour * 60 + local.minute
        day = local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        if minute >= self.start:
            return day in self.days
        return minute < self.end and (day - 1) % 7 in self.days

    def opens_after(self, local: datetime, zone: ZoneInfo) -> datetime:
        """When it opens next after ``local``."""
        for ahead in range(9):
            day = local.date() + timedelta(days=ahead)
            if day.weekday() in self.days:
                for fold in (0, 1):
                    if (opening := _at(day, self.start, zone, fold)) > local.astimezone(UTC):
                        return opening
        raise AssertionError("a window without days")


@dataclass(frozen=True, slots=True)
class Timing:
    """One time, or a cron expression with its windows. Make it with ``of``, which judges it."""

    zone: ZoneInfo
    at: datetime | None = None
    cron: str | None = None
    windows: Sequence[Window] = field(default=())

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after ``moment``, in UTC; None when there is none any more."""
        if self.at is not None:
            return self.at if self.at > moment and self.is_open(self.at) else None
        for _ in range(_TRIES):
            found = self._cron_after(moment)
            if found is None or self.is_open(found):
                return found
            local = found.astimezone(self.zone)
            opening = min(window.opens_after(local, self.zone) for window in self.windows)
            moment = max(found, self._changed(found, opening) - timedelta(seconds=1))
        return None

    def is_open(self, moment: datetime) -> bool:
        """Whether something may start at ``moment``."""
        local = moment.astimezone(self.zone)
        return not self.windows or any(window.holds(local) for window in self.windows)

    def following(self, moment: datetime) -> Iterator[datetime]:
        """All times after ``moment``, one after the other."""
        found = self.next_after(moment)
        while found is not None:
            yield found
            found = self.next_after(found)

    @property
    def words(self) -> str:
        """The cron expression as a sentence; empty for a single time."""
        return CronSim(self.cron, datetime.now(UTC)).explain() if self.cron else ""

    def _changed(self, start: datetime, end: datetime) -> datetime:
        """When clocks are changed between the two, else ``end``: one that goes back may open a window once more."""
        before = start.astimezone(self.zone).utcoffset()
        if end.astimezone(self.zone).utcoffset() == before:
            return end
        while end - start > timedelta(seconds=1):
            middle = start + (end - start) / 2
            if middle.astimezone(self.zone).utcoffset() == before:
                start = middle
            else:
                end = middle
        return end

    def _cron_after(self, moment: datetime) -> datetime | None:
        # in the hour that a clock shows twice, CronSim starts with the first of the two
        for found in CronSim(self.cron or "", moment.astimezone(self.zone)):
            utc = found.astimezone(UTC)
            if utc > moment:
                return utc
        return None


def of(*, at: datetime | None, cron: str | None, timezone: str, windows: Sequence[Window]) -> Timing:
    """The timing that these say. Raises InvalidInput, also for one that is never due."""
    if (at is None) == (cron is None):
        raise InvalidInput("A schedule needs one of `at` and `cron`.", code="ambiguous_time")
    if len(windows) > WINDOWS_MAX:
        raise InvalidInput(f"A schedule has at most {WINDOWS_MAX} windows.", code="too_many_windows")
    zone = zone_of(timezone)
    if at is not None:
        timing = Timing(zone, at.astimezone(UTC), None, tuple(windows))
        if not timing.is_open(timing.at or at):
            text = "This time is outside all of the schedule's windows; choose another, or leave the windows out."
            raise InvalidInput(text, code="outside_windows")
        return timing
    timing = Timing(zone, None, _expression(cron or ""), tuple(windows))
    if timing.next_after(datetime.now(UTC)) is None:
        where = " within its windows" if timing.windows else ""
        raise InvalidInput(f"This cron expression never comes due{where}.", code="never_due")
    return timing


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name. Raises InvalidInput."""
    if name in _known():
        return ZoneInfo(name)
    near = difflib.get_close_matches(name, _known(), 1)
    hint = f"did you mean {near[0]}?" if near else "write a name such as Europe/Berlin or UTC."
    raise InvalidInput(f"There is no time zone {name!r}; {hint}", code="unknown_timezone")


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def _expression(text: str) -> str:
    cron = _WORDS.get(text.strip().lower(), text.strip())
    if cron.startswith("@"):
        raise InvalidInput(f"{cron} is not known; there are {', '.join(_WORDS)}.", code="invalid_cron")
    if len(cron) > CRON_MAX or len(cron.split()) != 5 or not cron.isascii():
        raise InvalidInput(
            "A cron expression has five fields: minute, hour, day of the month, month, day of the week, as in "
            "30 2 * * mon-fri.",
            code="invalid_cron",
        )
    try:
        CronSim(cron, datetime.now(UTC))
    except CronSimError as error:
        raise InvalidInput(_complaint(cron, str(error)), code="invalid_cron") from None
    return " ".join(cron.split())


_FIELDS = {
    "minute": (0, "0 to 59"),
    "hour": (1, "0 to 23"),
    "day-of-month": (2, "1 to 31, L for the last"),
    "month": (3, "1 to 12 or jan to dec"),
    "day-of-week": (4, "0 to 7 or sun to sat"),
}


def _complaint(cron: str, found: str) -> str:
    name = found.removeprefix("Bad ").lower()
    if name not in _FIELDS:
        return f"This cron expression cannot be read: {found}."
    index, values = _FIELDS[name]
    part = cron.split()[index]
    if name == "day-of-month" and part.replace(",", "").isdecimal() and all(1 <= int(n) <= 31 for n in part.split(",")):
        return f"This cron expression never comes due: none of its months has day {part}."
    return f"The {name.replace('-', ' ')} of this cron expression, {part}, cannot be used; it is {values}."


def _at(day: date, minute: int, zone: ZoneInfo, fold: int) -> datetime:
    """When clocks show this time, or, where they skip it, what comes right after the gap."""
    local = datetime.combine(day, time(minute // 60, minute % 60, fold=fold), zone)
    while (utc := local.astimezone(UTC)).astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        local += timedelta(minutes=1)
    return utc


def window_of(days: Sequence[str], start: str, end: str) -> Window:
    """The window from ``start`` to ``end`` (``22:00``; ``24:00`` is the end of a day). Raises InvalidInput."""
    begins, ends = _minute(start), _minute(end)
    if begins in (ends, _MINUTES):
        raise InvalidInput(f"A window from {start} to {end} is never open.", code="never_open")
    if not days or not set(days) <= set(DAYS):
        text = "A window has days, some of " + ", ".join(DAYS) + "; without one it is never open."
        raise InvalidInput(text, code="never_open")
    return Window(frozenset(DAYS.index(day) for day in days), begins, ends)


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    if len(text) == 5 and hour.isdecimal() and minute.isdecimal() and text.isascii():
        found = int(hour) * 60 + int(minute)
        if int(minute) < 60 and found <= _MINUTES:
            return found
    raise InvalidInput(f"{text!r} is no time of a day; write it as 22:00.", code="invalid_window")
