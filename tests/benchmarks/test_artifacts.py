"""The benchmark of downloads on a small file: every way of sending it has a row, and memory is measured."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "artifacts.py"
NUMBERS = r" +\d+ +\d+"


@pytest.mark.soak
def test_every_way_has_a_row() -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, "--mib", "8", "--clients", "4", "--rounds", "1"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout
    assert re.search(rf"^DeployX alone{NUMBERS}", said, re.MULTILINE), said
    if shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin"):
        assert re.search(rf"^nginx alone{NUMBERS}$", said, re.MULTILINE), said
        assert re.search(rf"^DeployX, sent by nginx{NUMBERS} +\d+% +\d+% +goal 80%$", said, re.MULTILINE), said
    else:
        assert "there is no nginx on the PATH" in said
    [grown] = re.findall(r"^Memory of the server that sends by itself: (-?\d+\.\d) MiB more", said, re.MULTILINE)
    assert float(grown) < 50
