"""The benchmark's parts, without measuring anything: what they read is there, and what they print is a table."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from footprint import kernel, report, salt
from footprint.subjects import Figures, Subject

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "agent_footprint.py"


def test_it_registers_with_a_real_server_and_prints_a_row_for_each() -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, "--runs", "1", "--settle", "0", "--no-salt"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^DeployX agent +\d+\.\d +\d+\.\d +1 +\d+ +\d+ \(\d+ – \d+\)$", ended.stdout, re.MULTILINE)
    assert re.search(r"^DeployX agent, TLS +\d+\.\d", ended.stdout, re.MULTILINE)
    assert re.search(r"^bare python-socketio \+ aiohttp client +\d+\.\d", ended.stdout, re.MULTILINE)
    assert "Salt minion: not measured, left out by --no-salt" in ended.stdout
    assert re.search(r"^Goal RSS ≤ 36 MiB: met .* Goal ≤ 300 ms: (met|missed)", ended.stdout, re.MULTILINE)
    assert "DeployX agent, TLS, round 1 of 1 …" in ended.stderr


def test_a_family_is_weighed_with_its_children() -> None:
    script = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        try:
            while len(kernel.family(parent.pid)) < 2:
                assert parent.poll() is None
            weighed = kernel.memory(parent.pid)
            assert weighed.processes == 2
            assert 0 < weighed.pss <= weighed.rss
            assert kernel.cpu_ms(parent.pid) > 0
        finally:
            for pid in reversed(kernel.family(parent.pid)):
                os.kill(pid, 9)


def test_medians_and_goals() -> None:
    subject = Subject("ours", "ours", lambda _folder: pytest.fail("nothing is started"))
    runs = [
        Figures(ms, 100.0, kernel.Memory(size << 20, size << 19, 1)) for ms, size in ((250, 30), (450, 50), (290, 36))
    ]
    assert report.table([(subject, runs)]).splitlines()[1].split() == [
        *("ours", "36.0", "18.0", "1", "100", "290", "(250", "–", "450)"),
    ]
    assert report.verdict((subject, runs)) == (
        "Goal RSS ≤ 36 MiB: met (36.0). Goal PSS ≤ 24 MiB: met (18.0). Goal ≤ 300 ms: met (290)."
    )
    assert report.verdict((subject, runs[1:2])) == (
        "Goal RSS ≤ 36 MiB: missed (50.0). Goal PSS ≤ 24 MiB: missed (25.0). Goal ≤ 300 ms: missed (450)."
    )


def test_salt_that_cannot_be_installed_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salt, "VERSION", "0.0.0.0")
    monkeypatch.setenv("UV_OFFLINE", "1")
    missing = salt.install(tmp_path / "salt")
    assert isinstance(missing, salt.Missing)
    assert missing.why.startswith("it could not be installed: ")
    assert len(missing.why.splitlines()) == 1


def test_salt_that_is_there_is_not_installed_again(tmp_path: Path) -> None:
    (tmp_path / f"installed-{salt.VERSION}").touch()
    assert salt.install(tmp_path) == tmp_path / "bin"
