"""Facts: read from a root of the test's own, absent when they cannot be read, never a process on Linux."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from deployx_agent.facts import address, board, disks, fingerprint, hardware_id, interfaces, system
from deployx_protocol import limits


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "sys/class/dmi/id/product_uuid": "4C4C4544-0042-3510-8051-B4C04F564433",
        "sys/class/dmi/id/product_serial": "To Be Filled By O.E.M.",
        "sys/class/dmi/id/board_vendor": "Acme",
        "sys/class/dmi/id/board_name": "Board",
        "sys/class/dmi/id/board_serial": "B-1",
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: CPU X\ncpu MHz\t\t: 1000.5\n\nprocessor\t: 1\n",
        "proc/meminfo": "MemTotal:       1024 kB\nMemFree: 5 kB\n",
        "sys/block/sda/device/wwid": "naa.5000",
        "sys/block/sda/removable": "0",
        "sys/block/sdb/serial": "stick",
        "sys/block/sdb/removable": "1",
        "sys/block/loop0/serial": "loop",
        "sys/class/net/eth0/address": "52:54:00:aa:bb:cc",
        "sys/class/net/eth0/device/vendor": "0x1",
        "sys/class/net/docker0/address": "02:42:00:00:00:01",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")
    return tmp_path


def test_hardware_facts(root: Path) -> None:
    assert board.read(root) == {
        "product_uuid": "4C4C4544-0042-3510-8051-B4C04F564433",
        "board": "Acme\nBoard\nB-1",
        "cpu": "model name=CPU X",
    }
    assert disks.read(root) == {"disks": "naa.5000"}
    assert interfaces.read(root) == {"interfaces": "52:54:00:aa:bb:cc"}


def test_fingerprint_is_hashes_and_each_fact_changes_only_its_own(root: Path) -> None:
    before = fingerprint.read(root)
    assert set(before) == {"board", "cpu", "disks", "interfaces", "product_uuid"}
    assert all(len(value) == 64 for value in before.values())
    assert not any("acme" in value.lower() for value in before.values())
    (root / "sys/class/net/eth0/address").write_text("52:54:00:00:00:01\n")
    after = fingerprint.read(root)
    assert {name for name in before if before[name] != after[name]} == {"interfaces"}
    assert fingerprint.digest("a", "x") != fingerprint.digest("b", "x")


def test_processor_count_and_speed_are_no_identity(root: Path) -> None:
    before = fingerprint.read(root)
    (root / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: CPU X\ncpu MHz\t\t: 3000.1\n")
    assert fingerprint.read(root) == before


def test_system_facts(root: Path) -> None:
    facts = system.read(root)
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert facts["memory_bytes"] == str(1024 * 1024)
    assert facts["kernel"] == os.uname().release
    assert facts["arch"] == os.uname().machine
    assert facts["cpus"] == str(os.cpu_count())


def test_nothing_to_read_is_no_facts_and_no_error(tmp_path: Path) -> None:
    assert fingerprint.read(tmp_path) == {}
    assert hardware_id.read(tmp_path, "linux") is None
    assert system.read(tmp_path)["os"] == "Linux"


def test_no_process_is_started_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(os, "posix_spawn", forbidden)
    hardware_id.read(Path("/"), "linux")
    fingerprint.read(Path("/"))
    system.read(Path("/"))


def test_odd_host_names_become_one_that_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.hostname() == socket.gethostname()
    for odd in ("", "a\nb", "x" * (limits.HOSTNAME_MAX + 1), "\udcff"):
        monkeypatch.setattr(socket, "gethostname", lambda odd=odd: odd)
        assert system.hostname() == "unnamed"


@pytest.mark.parametrize(
    ("sockname", "plain"),
    [
        (("10.0.0.5", 1), "10.0.0.5"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::1"),
        (("::ffff:10.0.0.5", 1, 0, 0), "10.0.0.5"),
        (None, "0.0.0.0"),
        (("", 1), "0.0.0.0"),
        ("", "0.0.0.0"),
    ],
)
def test_address(sockname: object, plain: str) -> None:
    assert address.plain(sockname) == plain
