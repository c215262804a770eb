"""The benchmark of the link on a few agents: each server answers all of them, and what is printed is a table."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "link.py"
SERVERS = ("DeployX", "python-socketio", "node socket.io")


@pytest.mark.soak
def test_every_server_answers_and_has_a_row() -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, "--agents", "20", "--spread", "0.2", "--times", "1"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    for server in SERVERS:
        assert re.search(rf"^{server} +(\d+(\.\d)? *){{8}}$", ended.stdout, re.MULTILINE), ended.stdout
    assert len(re.findall(r"^Beside .* × the memory\.$", ended.stdout, re.MULTILINE)) == 2
