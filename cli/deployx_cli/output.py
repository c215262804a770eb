"""Devices on the screen: a table for people, tab-separated lines for a pipe, JSON for programs.

Invariant: what an agent says about itself never reaches a terminal with control characters in it.
"""

import json
import sys
import unicodedata
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLUMNS = ("STATUS", "NAME", "HOSTNAME", "PLATFORM", "ADDRESS", "TRUST", "OWNER", "LAST SEEN")
_MARKS = {"online": ("●", "green"), "offline": ("○", "red"), "unknown": ("◌", "bright_black")}
_TRUST_STYLES = {"pending": "yellow", "quarantined": "magenta", "unverified": "bright_black"}


def print_devices(devices: list[dict[str, Any]], *, as_json: bool) -> None:
    """All of them, in the form that stdout calls for."""
    if as_json:
        print(json.dumps(devices, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _table(devices)
    else:
        print("\t".join(_COLUMNS))
        for device in devices:
            print("\t".join(_row(device)))


def _table(devices: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    if not devices:
        console.print("No device matches.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in _COLUMNS:
        table.add_column(title.capitalize(), overflow="ellipsis", no_wrap=True)
    now = datetime.now(UTC)
    for device in devices:
        status, *texts, last_seen = _row(device)
        mark, style = _MARKS.get(status, ("?", ""))
        cells = [Text(f"{mark} {status}", style), *map(Text, texts), Text(relative(last_seen, now))]
        cells[5].stylize(_TRUST_STYLES.get(cells[5].plain, ""))
        table.add_row(*cells)
    console.print(table)
    online = sum(device.get("status") == "online" for device in devices)
    console.print(f"{len(devices)} device{'' if len(devices) == 1 else 's'}, {online} online")


def _row(device: dict[str, Any]) -> list[str]:
    names = ("status", "device_name", "hostname", "platform", "ip_address", "trust", "owner", "last_seen")
    return [readable(device.get(name)) for name in names]


def readable(value: object) -> str:
    """The value as one piece of text without control or format characters; `-` for nothing."""
    text = "" if value is None else str(value)
    shown = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c).startswith("C") else c for c in text)
    return shown or "-"


def relative(stamp: str, now: datetime) -> str:
    """`3 min ago` for a time on the wire; the text itself if it is none."""
    try:
        seconds = (now - datetime.fromisoformat(stamp)).total_seconds()
    except (ValueError, TypeError):
        return stamp
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
