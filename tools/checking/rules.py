"""Our own rules about dangerous code, looked for in the syntax trees of everything that is installed somewhere.

They know what general linters cannot: which functions are routes, what a unit of work is, which names are secrets. The
general ones are ruff's ``S`` and bandit. Invariant: an exception stands in `EXCEPTIONS` with its line and its reason,
and one that is no longer needed is refused, so that none is left behind for another line to hide under.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bootstrap.places import ROOT
from checking import code_rules, installed, page_rules

PAGES = (installed.PAGES, "frontend/index.html")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Exempt:
    """One line that may do what a rule forbids: it holds ``text``, and ``why`` says what makes it harmless."""

    file: str
    rule: str
    text: str
    why: str


EXCEPTIONS = (
    Exempt("backend/app/doctor.py", "sql", 'sa.text(f"SHOW {name}")', "the names stand on that line"),
    Exempt("agent/deployx_agent/tasks/journal.py", "sql", 'f"SELECT {_COLUMNS} FROM tasks', "a constant of that file"),
    Exempt("agent/deployx_agent/tasks/journal.py", "sql", "BEGIN IMMEDIATE; {_LATER}", "a constant of that file"),
    Exempt("backend/app/accounts/sealing.py", "file-mode", 'fresh.open("w")', "made with 0600 a line before"),
    Exempt("backend/app/serve.py", "file-mode", 'path.open("a+b")', "the lock beside the database: it stays empty"),
    Exempt("agent/deployx_agent/service/__init__.py", "file-mode", "definition.path.write_text", "units are for all"),
    Exempt("agent/deployx_agent/tasks/recovery.py", "file-mode", "path.write_bytes(row.output)", "in a folder of 0700"),
)


@dataclass(frozen=True)
class Finding:
    """A line that breaks a rule."""

    file: str
    line: int
    rule: str
    message: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message} [{self.rule}]"


def main(root: Path = ROOT) -> int:
    """Say what breaks a rule, a line each; the exit code."""
    wrong = complaints(root)
    for one in wrong:
        print(one)
    return 1 if wrong else 0


def complaints(root: Path, exceptions: Iterable[Exempt] = EXCEPTIONS) -> list[str]:
    """A sentence for each line of ``root`` that breaks a rule, and for each exception that nothing needs."""
    unused, wrong = list(exceptions), []
    known = tuple(unused)
    for finding in findings(root):
        allowed = [one for one in known if _covers(one, finding)]
        unused = [one for one in unused if one not in allowed]
        if not allowed:
            wrong.append(str(finding))
    return wrong + [f"{one.file}: nothing breaks the rule {one.rule} at “{one.text}”." for one in unused]


def findings(root: Path) -> Iterator[Finding]:
    """Everything that breaks a rule, exceptions included."""
    for path in _files(root, installed.PYTHON, ("py",)):
        source = path.read_text(encoding="utf-8")
        yield from _named(path.relative_to(root).as_posix(), source, code_rules.RULES, ast.parse(source))
    for path in _files(root, PAGES, ("js", "jsx", "html")):
        if not re.search(r"\.test\.jsx?$", path.name):
            source = path.read_text(encoding="utf-8")
            yield from _named(path.relative_to(root).as_posix(), source, page_rules.RULES, source)


def _named(
    name: str, source: str, rules: dict[str, Callable[[str, Read], Iterator[tuple[int, str]]]], read: Read
) -> Iterator[Finding]:
    lines = source.splitlines()
    for rule, look in rules.items():
        for line, message in look(name, read):
            yield Finding(name, line, rule, message, lines[line - 1])


def _files(root: Path, places: Iterable[str], endings: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        path = root / place
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (one for one in found if one.is_file() and one.suffix.removeprefix(".") in endings)


def _covers(exception: Exempt, finding: Finding) -> bool:
    same = (exception.file, exception.rule) == (finding.file, finding.rule)
    return same and exception.text in finding.text


if __name__ == "__main__":
    sys.exit(main())
