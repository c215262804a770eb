"""Tables on a terminal. Imported only where there is one: rich takes as long to import as all the rest."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_MARKS = {"online": ("●", "green"), "offline": ("○", "red"), "unknown": ("◌", "bright_black")}
_TRUST_STYLES = {"pending": "yellow", "quarantined": "magenta", "unverified": "bright_black"}
_TRUST = 5


def print_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Any rows, the first column in one line, the others broken where they are too wide."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title.capitalize(), overflow="fold", no_wrap=number == 0)
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
