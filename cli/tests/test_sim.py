"""`deployx sim` is the server's command, with its own help and its own words."""

import subprocess
import sys
from pathlib import Path

import pytest

from deployx_cli import sim
from deployx_cli.errors import CommandError

DEPLOYX = Path(sys.executable).with_name("deployx")


def test_it_becomes_the_servers_command_with_all_that_was_typed() -> None:
    done = subprocess.run(
        [DEPLOYX, "sim", "--url", "nowhere", "--agents", "3"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("deployx-server: 'nowhere' is not a server address")


def test_without_the_servers_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(CommandError, match="install the package deployx-server beside deployx"):
        sim.hand_over(["--agents", "3"])
