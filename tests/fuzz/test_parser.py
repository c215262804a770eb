"""The parsers of the agent link, under bytes that atheris finds by watching which branches they take."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fuzz import seeds

TARGET = Path(__file__).with_name("target.py")
LENGTH_MAX = 4_096
GROWTH_MAX_MIB = 24.0
"""libFuzzer keeps what opened new branches: the corpus grows, the parsers must not."""
PLANTED = """
from deployx_protocol import checks
from tests.fuzz import target

real = checks.tags

def tags(found):
    return {} if len(str(found)) == 1 / len(found) else real(found)

checks.tags = tags
target.main()
"""


class Fuzzed(NamedTuple):
    """How it went."""

    exit_code: int
    said: str
    inputs: int
    grew_mib: float


def fuzz(folder: Path, runs: int, *, target: Path = TARGET) -> Fuzzed:
    """Run ``target`` with ``runs`` inputs."""
    seeds.write(folder)
    report = folder / "report"
    options = [
        f"-runs={runs}",
        "-seed=1",
        f"-max_len={LENGTH_MAX}",
        f"-dict={folder / 'words'}",
        "-print_final_stats=1",
    ]
    options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=1024", "-timeout=5"]
    command = [sys.executable, str(target), str(report), *options, str(folder / "corpus")]
    paths = [str(Path(__file__).parents[2]), *sys.path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    ended = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    done, early, late = report.read_text().split() if report.exists() else ("0", "0", "0")
    return Fuzzed(ended.returncode, ended.stdout + ended.stderr, int(done), float(late) - float(early))


def judge(fuzzed: Fuzzed, runs: int) -> None:
    """No crash, no growth, and not all for nothing."""
    assert fuzzed.exit_code == 0, fuzzed.said[-4_000:]
    assert fuzzed.inputs == runs
    assert fuzzed.grew_mib < GROWTH_MAX_MIB, fuzzed
    [branches] = re.findall(r"DONE +cov: (\d+)", fuzzed.said)
    assert int(branches) > 200, "the fuzzer does not get far into the parsers"


def test_a_hundred_thousand_inputs_find_nothing(tmp_path: Path) -> None:
    judge(fuzz(tmp_path, 100_000), 100_000)


def test_a_planted_crash_is_found(tmp_path: Path) -> None:
    target = tmp_path / "planted.py"
    target.write_text(PLANTED)
    fuzzed = fuzz(tmp_path, 100_000, target=target)
    assert fuzzed.exit_code != 0
    assert "ZeroDivisionError" in fuzzed.said


@pytest.mark.soak
def test_ten_million_inputs_find_nothing(tmp_path: Path) -> None:
    judge(fuzz(tmp_path, 10_000_000), 10_000_000)
