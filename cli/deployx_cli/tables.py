"""Tables on a terminal. Imported only where there is one: rich takes as long to import as all the rest."""

from collections.abc import Collection, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_MARKS = {"online": ("●", "green"), "offline": ("○", "red"), "unknown": ("◌", "bright_black")}
_TRUST_STYLES = {"pending": "yellow", "quarantined": "magenta", "unverified": "bright_black"}
_TRUST = 5
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
    """Devices, the status first and marked, each in one line; and how many there are."""
    console = Console(highlight=False)
    if not rows:
        console.print("No device matches.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title.capitalize(), overflow="ellipsis", no_wrap=True)
    for status, *texts in rows:
        mark, style = _MARKS.get(status, ("?", ""))
        cells = [Text(f"{mark} {status}", style), *map(Text, texts)]
        cells[_TRUST].stylize(_TRUST_STYLES.get(cells[_TRUST].plain, ""))
        table.add_row(*cells)
    console.print(table)
    online = sum(row[0] == "online" for row in rows)
    console.print(f"{len(rows)} device{'' if len(rows) == 1 else 's'}, {online} online")
