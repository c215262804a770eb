"""How many checks and tests passed and failed, read from each runner's own report.

Invariant: a runner that failed counts as at least one failure, also when its report says otherwise or is not there.
"""

import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts that can be added up."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        """The last line of `make test`; other programs read it."""
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")

    @property
    def ran(self) -> int:
        """How many were run at all."""
        return self.passed + self.failed

    def blamed(self, *, green: bool) -> "Totals":
        """These counts, with a failure in them if the runner itself was not `green`."""
        return self if green or self.failed else self + Totals(failed=1)


def from_junit(report: Path) -> Totals:
    """pytest's `--junit-xml`. Nothing when there is no report, or a broken one."""
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))
    except (OSError, ET.ParseError):
        return Totals()
    return sum((_suite(suite.attrib) for suite in suites), Totals())


def _suite(counts: dict[str, str]) -> Totals:
    failed = int(counts["failures"]) + int(counts["errors"])
    skipped = int(counts["skipped"])
    return Totals(int(counts["tests"]) - failed - skipped, failed, skipped)


def from_vitest(report: Path) -> Totals:
    """Vitest's `--reporter=json`. A file that could not even be loaded counts as one failure."""
    try:
        said = json.loads(report.read_text())
        broken = sum(1 for file in said["testResults"] if file["status"] == "failed" and not file["assertionResults"])
        skipped = said["numPendingTests"] + said.get("numTodoTests", 0)
        return Totals(said["numPassedTests"], said["numFailedTests"] + broken, skipped)
    except (OSError, ValueError, KeyError, TypeError):
        return Totals()
