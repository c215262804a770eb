"""Tables on a terminal. Imported only where there is one: rich takes as long to import as all the rest."""

from collections.abc import Collection, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_MARKS = {"online": ("●", "green"), "offline": ("○", "red"), "unknown": ("◌", "bright_black")}
_TRUST_STYLES = {"pending": "yellow", "quarantined": "magenta", "unverified": "bright_black"}
_STATUS, _NAME, _HOSTNAME, _TRUST, _OWNER = 0, 1, 2, 5, 6
_KEPT_WIDTH = 30
_BROKEN_WIDTH = 14
"""Characters: a column that may be broken is not made narrower than that for a longer word."""


def print_rows(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Collection[str], cut: Collection[str]
) -> None:
    """Any rows. Where they are too wide, the columns `cut` are, and the others are broken, except those of `whole`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, title in enumerate(titles):
        words = (part for row in rows for part in ([row[place]] if title in whole else row[place].split()))
        longest = max(map(len, words), default=0)
        least = longest if title in whole else min(longest, _BROKEN_WIDTH)
        overflow: Literal["ellipsis", "fold"] = "ellipsis" if title in cut else "fold"
        table.add_column(title.capitalize(), overflow=overflow, no_wrap=title in whole or title in cut, min_width=least)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def print_devices(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Devices, the status first and marked, each in one line; and how many there are. A column that says nothing new is
    left out: host names that are the names, one owner of all, one trust of all if it is the ordinary one."""
    console = Console(highlight=False)
    if not rows:
        console.print("No device matches.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [place for place in range(len(titles)) if _tells(place, rows)]
    for place in shown:
        longest = max(len(row[place]) for row in rows) + 2 * (place == _STATUS)
        least = None if place in (_HOSTNAME, _OWNER) else min(longest, _KEPT_WIDTH)
        table.add_column(titles[place].capitalize(), overflow="ellipsis", no_wrap=True, min_width=least)
    for status, *texts in rows:
        mark, style = _MARKS.get(status, ("?", ""))
        cells = [Text(f"{mark} {status}", style), *map(Text, texts)]
        cells[_TRUST].stylize(_TRUST_STYLES.get(cells[_TRUST].plain, ""))
        table.add_row(*(cells[place] for place in shown))
    console.print(table)
    online = sum(row[0] == "online" for row in rows)
    console.print(f"{len(rows)} device{'' if len(rows) == 1 else 's'}, {online} online")


def _tells(place: int, rows: Sequence[Sequence[str]]) -> bool:
    if place == _HOSTNAME:
        return any(row[_HOSTNAME] != row[_NAME] for row in rows)
    if place == _TRUST:
        return any(row[_TRUST] != "trusted" for row in rows)
    return place != _OWNER or len({row[_OWNER] for row in rows}) > 1
