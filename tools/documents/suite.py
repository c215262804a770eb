"""Which tests there are, found in the source without running anything.

A Python test is `path::name` or `path::Class::name`. A test of the dashboard is `path › title › title`, from the
outermost `describe` on; what is inside what is told by the indentation, which prettier keeps.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from documents.source import ROOT

_TITLE = re.compile(r"""^( *)(?:(describe|it|test)(?:\.\w+(?:\(.*\))?)?|\]\))\(\s*(["'`])(.+?)\3""", re.MULTILINE)


@cache
def all_tests() -> frozenset[str]:
    """Every test of the repository."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = settings["tool"]["pytest"]["ini_options"]["testpaths"]
    python = [path for folder in folders for path in (ROOT / folder).rglob("test_*.py")]
    dashboard = [path for ending in ("js", "jsx") for path in (ROOT / "frontend" / "src").rglob(f"*.test.{ending}")]
    found = [test for path in python for test in _python_tests(path)]
    found += [test for path in dashboard for test in _dashboard_tests(path)]
    return frozenset(found)


def named(prefix: str) -> list[str]:
    """The tests whose function is named so, in order."""
    return sorted(test for test in all_tests() if test.rpartition("::")[2].startswith(prefix))


def _python_tests(path: Path) -> Iterator[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    yield from (f"{_name(path)}::{name}" for name in _functions(body))
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from (f"{_name(path)}::{node.name}::{name}" for name in _functions(node.body))


def _dashboard_tests(path: Path) -> Iterator[str]:
    outer: list[tuple[int, str]] = []
    for match in _TITLE.finditer(path.read_text(encoding="utf-8")):
        indentation = len(match[1])
        outer = [one for one in outer if one[0] < indentation]
        if match[2] == "describe":
            outer.append((indentation, match[4]))
        else:
            yield " › ".join([_name(path), *(title for _, title in outer), match[4]])


def _functions(body: list[ast.stmt]) -> list[str]:
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node.name for node in functions if node.name.startswith("test_")]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
