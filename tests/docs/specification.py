"""The specification's items, from its text, and the rows of the table that maps them to tests.

Every line of a drawing, a table or a log is an item: boxes, events, payload fields, columns, settings, error rows,
states and log lines all stand in code blocks. So is every point of a list. An item is looked for under the heading
under which the specification has it.
"""

import re
from collections import Counter
from dataclasses import dataclass

from documents.source import ROOT

SPECIFICATION = ROOT / "docs" / "agent-connection-flow.md"
TABLE = ROOT / "docs" / "specification.md"

_FRAME = re.compile(r"[│┌┐└┘─├┤┬┴┼▼►◄]+|\s{2,}")
_NO_ITEMS = {"{", "}", "Payload:", "Payload: {", "# seconds", "# agent/main.py", "# backend/app/main.py"}
_HEADING = re.compile(r"^#{2,3} (.+)$")
_POINT = re.compile(r"^(?:-|\d+\.) (.+)$")
_ROW = re.compile(r"^\| (.+?) \| (.+?) \|$")


@dataclass(frozen=True)
class Row:
    """One row of the table: the items it covers, and the tests that fail when they break."""

    section: str
    items: tuple[str, ...]
    tests: tuple[str, ...]


def items() -> dict[str, Counter[str]]:
    """Heading → items and how often each of them stands there."""
    found: dict[str, Counter[str]] = {}
    heading, in_block = "", False
    for line in SPECIFICATION.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            in_block = not in_block
        elif in_block:
            parts = (part.strip() for part in _FRAME.split(line))
            found.setdefault(heading, Counter()).update(part for part in parts if part and part not in _NO_ITEMS)
        elif match := _HEADING.match(line):
            heading = match[1].replace("*", "")
        elif match := _POINT.match(line):
            found.setdefault(heading, Counter())[match[1].replace("*", "").replace("`", "")] += 1
    return found


def rows() -> list[Row]:
    """The table's rows."""
    found, heading = [], ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if match := _HEADING.match(line):
            heading = match[1].replace("*", "")
        elif (match := _ROW.match(line)) and match[1] not in ("Specification", "---"):
            found.append(Row(heading, _quoted(match[1]), _quoted(match[2])))
    return found


def _quoted(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))
