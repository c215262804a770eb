"""When something is to happen, from the options of a command to what the server takes."""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from deployx_cli.errors import WrongUsage

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"(?:(?P<days>[a-z,-]+)\s+)?(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)")
_LOCALTIME = Path("/etc/localtime")


def when(cron: str, at: str, zone: str, windows: list[str]) -> dict[str, Any]:
    """The fields of a schedule that say when. Raises WrongUsage."""
    if bool(cron) == bool(at):
        raise WrongUsage("Say when: either --cron, as in --cron '30 2 * * *', or --at, as in --at 2026-12-24T02:30.")
    named = zone or own_zone()
    said: dict[str, Any] = {"timezone": named, "windows": [window(text) for text in windows]}
    return said | ({"cron": cron} if cron else {"at": _moment(at, named)})


def window(text: str) -> dict[str, Any]:
    """`mon-fri 22:00-06:00`, `sat,sun 00:00-24:00`, `22:00-06:00`. Raises WrongUsage."""
    found = _WINDOW.fullmatch(text.strip().lower())
    if not found:
        raise WrongUsage(f"--window {text!r} has to be like 'mon-fri 22:00-06:00'.")
    said: dict[str, Any] = {"start": found["start"], "end": found["end"]}
    return said | ({"days": _days(found["days"], text)} if found["days"] else {})


def own_zone() -> str:
    """The name of this machine's time zone; UTC where that cannot be told."""
    if named := os.environ.get("TZ", "").removeprefix(":"):
        return named
    try:
        return str(_LOCALTIME.readlink()).partition("zoneinfo/")[2] or "UTC"
    except OSError:
        return "UTC"


def _days(text: str, option: str) -> list[str]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise WrongUsage(f"--window {option!r}: the days are {', '.join(_DAYS)}, as in mon-fri or sat,sun.")
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return [_DAYS[day] for day in sorted(days)]


def _moment(text: str, zone: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise WrongUsage(f"--at {text!r} has to be like 2026-12-24T02:30.") from None
    except ZoneInfoNotFoundError:
        raise WrongUsage(f"This machine does not know the time zone {zone}; write --at with its offset.") from None
    return moment.isoformat()
