"""Package databases of each system, laid out as the system does it, and the report that the child makes of them."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_agent.software import databases
from deployx_agent.software.collect import cleaned, collected
from deployx_protocol.software import NAME_MAX, VERSION_MAX, judged

STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Description: a shell
 Version: 9 in a description is none
 .

Package: held
Status: hold ok installed
Architecture: all
Version: 1:2-3

Package: left-its-settings
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: half
Status: install ok half-configured
Version: 1

Package: \u202eturned
Status: install ok installed
Version: 1\u200b.0
Architecture: amd64

Package:
Status: install ok installed
Version: 3
"""
APK = """\
C:Q1xyz=
P:musl
V:1.2.4-r2
A:x86_64
F:lib
R:ld-musl

P:busybox
V:1.36.1-r5
A:x86_64
"""


def put(root: Path, place: str, text: str) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_dpkg(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/dpkg/status", STATUS)
    assert json.loads(collected(tmp_path)) == {
        "sources": ["dpkg"],
        "packages": [
            ["bash", "5.2.15-2+b7", "amd64", "dpkg"],
            ["held", "1:2-3", "all", "dpkg"],
            ["turned", "1.0", "amd64", "dpkg"],
        ],
    }


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """This machine's own database, at one moment."""
    place = tmp_path / "var/lib/dpkg"
    (place / "info").mkdir(parents=True)
    shutil.copy("/var/lib/dpkg/status", place)
    return tmp_path


def test_what_dpkg_itself_says_of_this_machine(copy: Path) -> None:
    words = [
        "dpkg-query",
        f"--admindir={copy / 'var/lib/dpkg'}",
        "-W",
        "-f",
        "${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n",
    ]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    installed = {tuple(line.split("\t")[1:]) for line in lines if line[1] == "i"}
    assert set(databases.dpkg(copy) or ()) == installed
    assert installed


def test_apk(tmp_path: Path) -> None:
    put(tmp_path, "lib/apk/db/installed", APK)
    assert list(databases.apk(tmp_path) or ()) == [("musl", "1.2.4-r2", "x86_64"), ("busybox", "1.36.1-r5", "x86_64")]


def test_homebrew(tmp_path: Path) -> None:
    for place in ("opt/homebrew/Cellar/jq/1.7.1", "opt/homebrew/Caskroom/zoom/6.0", "opt/homebrew/Cellar/x/.metadata"):
        (tmp_path / place).mkdir(parents=True)
    assert set(databases.homebrew(tmp_path) or ()) == {("jq", "1.7.1", ""), ("zoom", "6.0", "")}


def rpm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a database of rpm, and an ``rpm`` that does as ``script`` says."""
    put(folder, "usr/lib/sysimage/rpm/rpmdb.sqlite", "")
    program = folder / "bin/rpm"
    put(folder, "bin/rpm", f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_rpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = r"openssl\t1:3.0.7-27.el9\tx86_64\ngpg-pubkey\t1-2\t(none)\nbase\t9-1\t(none)\n"
    root = rpm(tmp_path, f'[ "$1 $2" = "--query --all" ] && printf "{lines}"', monkeypatch)
    assert list(databases.rpm(root) or ()) == [("openssl", "1:3.0.7-27.el9", "x86_64"), ("base", "9-1", "")]


def test_a_database_that_cannot_be_read_is_not_reported_as_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = rpm(tmp_path, "echo 'error: db5 error' >&2; exit 1", monkeypatch)
    with pytest.raises(OSError, match="db5 error"):
        collected(root)
    done = subprocess.run(
        [sys.executable, "-m", "deployx_agent.software.collect", str(root)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"db5 error" in done.stderr


def test_a_machine_without_any_says_so(tmp_path: Path) -> None:
    (tmp_path / "var/lib/rpm").mkdir(parents=True)  # as Debian's package of rpm leaves it
    assert json.loads(collected(tmp_path)) == {"sources": [], "packages": []}
    assert shutil.which("winreg") is None


def test_what_the_child_says_is_what_the_server_takes(copy: Path) -> None:
    """This very machine's, and the same twice, so that it is not sent again."""
    words = [sys.executable, "-m", "deployx_agent.software.collect", str(copy)]
    first, second = (subprocess.run(words, capture_output=True, check=True).stdout for _ in range(2))
    assert first == second
    raw, report = judged(first[64:])
    assert (
        first[:64].decode()
        == hashlib.sha256(raw).hexdigest()
        == hashlib.sha256(gzip.decompress(first[64:])).hexdigest()
    )
    assert "bash" in {one.name for one in report.packages}


def test_names_are_made_ones_that_can_be_shown() -> None:
    assert cleaned(("a\0b\n\u202e", " 1 ", "")) == ("ab", "1", "")
    assert cleaned(("x" * 500, "1" * 500, "y" * 500)) == ("x" * NAME_MAX, "1" * VERSION_MAX, "y" * 32)
    assert cleaned(("", "1", "")) is None
    assert cleaned(("a", "\n", "")) is None
