"""The benchmark of a whole server on a few agents: each step of it is gone through, and every figure is printed."""

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "server.py"
FEW = ("--agents", "20", "--dashboards", "2", "--beat", "0.2", "--flap", "0.2", "--settle", "0.5")


def test_every_step_has_its_figures() -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, *FEW, "--databases", "SQLite"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(re.findall(r" +-?\d+(\.\d)?(?= |$)", ended.stdout, re.MULTILINE)) >= 10, ended.stdout
    assert re.search(r"^registrations/s +\d+ +≥ 1500$", ended.stdout, re.MULTILINE), ended.stdout
