"""What runs the product: Vitest beside pytest in parallel, then the tests that must have the machine to themselves."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bootstrap import node
from bootstrap.places import FRONTEND, PYTHON, ROOT
from checking import totals
from checking.steps import Step

_NO_TESTS = 5  # pytest's exit code when the selection is empty
_DEADLINE_S = 1500.0


def dashboard_step(env: Mapping[str, str], reports: Path) -> Step:
    """Vitest. `env` must have a node that is good enough."""
    report = reports / "vitest.json"
    command = [node.npm(dict(env)), "run", "--silent", "test", "--", "--reporter=default", "--reporter=json"]
    return Step(
        "Dashboard tests",
        [*command, f"--outputFile.json={report}"],
        cwd=FRONTEND,
        env=env,
        deadline_s=_DEADLINE_S,
        announced=True,
        count=lambda: totals.from_vitest(report),
    )


def python_steps(env: Mapping[str, str], reports: Path) -> tuple[Step, Step]:
    """pytest twice: two workers to a core, and then, beside nothing else, one test at a time."""
    # Most tests wait for a timer or for another process half of the time.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    beside = ["-n", str(cores * 2), "--dist", "loadgroup"]
    return (
        _pytest("Python tests", "not soak and not serial", beside, env, reports / "parallel.xml"),
        _pytest("Python tests, one at a time", "serial and not soak", [*_with("serial")], env, reports / "serial.xml"),
    )


def _with(mark: str) -> Iterator[str]:
    """The files that hold a test with this mark; the others need not be loaded to find that they do not."""
    places = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    for file in (file for place in places for file in sorted((ROOT / place).rglob("test_*.py"))):
        if f"mark.{mark}" in file.read_text():
            yield str(file.relative_to(ROOT))


def _pytest(title: str, marked: str, options: list[str], env: Mapping[str, str], report: Path) -> Step:
    return Step(
        title,
        [PYTHON, "-m", "pytest", "-q", "-m", marked, *options, f"--junit-xml={report}"],
        env=env,
        deadline_s=_DEADLINE_S,
        announced=True,
        green_codes=frozenset({0, _NO_TESTS}),
        count=lambda: totals.from_junit(report),
    )
