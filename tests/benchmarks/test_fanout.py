"""The benchmark's parts on a fleet of two: every machine is reached, and what is printed is a table with a verdict."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from delivery import report

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "fanout.py"


@pytest.mark.soak
def test_it_reaches_every_machine_and_prints_a_row_for_each_fleet() -> None:
    fleets = ("--few", "1", "--many", "2", "--simulated", "3")
    ended = subprocess.run(
        [sys.executable, PROGRAM, "--rounds", "1", "--no-salt", *fleets],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    crowds = ("3 simulated agents, SQLite", "3 simulated agents, PostgreSQL")
    titles = ("1 agents", "2 agents", "2 agents, `deployx run`", *crowds)
    for title in titles:
        assert re.search(rf"^DeployX, {re.escape(title)} +\d+\.\d +\d+\.\d +1$", ended.stdout, re.MULTILINE), title
    assert "Salt: not measured, left out by --no-salt" in ended.stdout
    for crowd in crowds:
        goal = rf"^{crowd}: p99 \d+\.\d\d s. Goal ≤ 1 s: (met|missed)\.$"
        assert re.search(goal, ended.stdout, re.MULTILINE), ended.stdout
    assert re.search(r"fsync of 4 KiB \d+\.\d\d ms\.$", ended.stdout, re.MULTILINE)


def test_quantiles_ratio_and_goals() -> None:
    times = [0.001 * number for number in range(1, 201)]
    assert report.p99(times) == 0.198
    assert report.p99([0.3, 0.1]) == 0.3
    assert report.table([("ours", [0.1, 0.2, 0.3])]).splitlines()[1].split() == ["ours", "200.0", "300.0", "3"]
    said = report.against_salt([0.1, 0.1], [0.5], [5.0, 4.0, 6.0], 50)
    assert (
        said
        == "On 50 machines: 50.0 times as fast as Salt's CLI (10.0 times with our CLI's own start). Goal ≥ 40: met."
    )
    assert report.against_salt([0.2], [0.5], [5.0], 50).endswith("Goal ≥ 40: missed.")
    assert (
        report.against_goal([0.4, 1.5], 1000, "SQLite")
        == "1000 simulated agents, SQLite: p99 1.50 s. Goal ≤ 1 s: missed."
    )
