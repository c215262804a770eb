"""The last column of the tables in `docs/threats-and-faults.md`: the tests that carry the row's number.

The rest of the page is written by hand, and so is a cell that says *later* or *as* another row.
"""

import re

from documents import suite

NOT_YET = "none yet"
_SECTION = {"## Threats": "test_threat_", "## Faults": "test_fault_"}


def fill(page: str) -> str:
    """`page` with the column made again."""
    prefix, lines = "", []
    for line in page.splitlines():
        prefix = _SECTION.get(line, prefix)
        lines.append(_filled(line, prefix))
    return "\n".join(lines) + "\n"


def _filled(line: str, prefix: str) -> str:
    cells = line.split(" | ")
    number = re.fullmatch(r"\| (\d+)(b?)", cells[0])
    if not number or cells[-1].startswith(("later", "as ")):
        return line
    return " | ".join([*cells[:-1], f"{_tests(prefix, int(number[1]), number[2])} |"])


def _tests(prefix: str, number: int, letter: str) -> str:
    found = suite.named(f"{prefix}{number:02}{letter}_")
    return "<br>".join(f"`{test}`" for test in found) or NOT_YET
