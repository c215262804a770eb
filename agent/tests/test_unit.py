"""What the systemd unit forbids: everything that takes nothing from tasks; everything, where there are none."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_agent import config, service

STATE = "/var/lib/deployx-agent"
RATED = frozenset(
    {
        "AmbientCapabilities",
        "CapabilityBoundingSet",
        "DeviceAllow",
        "DynamicUser",
        "IPAddressDeny",
        "KeyringMode",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "NotifyAccess",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateNetwork",
        "PrivateTmp",
        "PrivateUsers",
        "ProcSubset",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectProc",
        "ProtectSystem",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "RootDirectory",
        "SystemCallArchitectures",
        "SystemCallFilter",
        "UMask",
        "User",
    }
)
"""What `systemd-analyze security` rates and what applies to root (SupplementaryGroups and RemoveIPC do not)."""
ELSEWHERE = {"UMask"}
"""Set in the unit for both."""


def unit_of(**settings: str) -> str:
    variables = {f"DEPLOYX_{name.upper()}": value for name, value in {"state_dir": STATE, **settings}.items()}
    return service.define("linux", config.load({}, variables)).text


@pytest.fixture(params=["0", "1"], ids=["tasks", "watch-only"])
def unit(request: pytest.FixtureRequest) -> str:
    return unit_of(watch_only=request.param)


def forbids(unit: str) -> dict[str, list[str]]:
    """The directives that a unit has, and what they say."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_each_directive_is_there_or_the_reason_why_it_is_not(unit: str) -> None:
    there = set(forbids(unit)) & RATED
    comments = [line for line in unit.splitlines() if line.startswith("#   ")]
    explained = {word.strip(",") for line in comments for word in line.lstrip("# ").split("  ")[0].split()} & RATED
    assert there | explained | ELSEWHERE == RATED
    both = {"SystemCallFilter", "RestrictAddressFamilies", "UMask"}  # in part
    assert there & explained <= both


def test_tasks_keep_what_administration_needs() -> None:
    found = {name: values for name, values in forbids(unit_of()).items() if name in RATED}
    assert found == {
        "AmbientCapabilities": [""],
        "KeyringMode": ["private"],
        "NotifyAccess": ["none"],
        "SystemCallFilter": ["~@obsolete"],
        "RestrictAddressFamilies": ["~AF_APPLETALK AF_AX25 AF_DECnet AF_ECONET AF_IPX AF_NETROM AF_ROSE AF_X25"],
        "UMask": ["0077"],
    }


def test_an_agent_that_only_watches_may_write_its_state_and_nothing_else() -> None:
    found = forbids(unit_of(watch_only="1"))
    assert found["Environment"] == [f"DEPLOYX_STATE_DIR={STATE}", "DEPLOYX_WATCH_ONLY=1"]
    assert (found["ProtectSystem"], found["StateDirectory"]) == (["strict"], ["deployx-agent"])
    assert (found["CapabilityBoundingSet"], found["NoNewPrivileges"]) == ([""], ["yes"])
    assert "ReadWritePaths" not in found
    elsewhere = forbids(unit_of(watch_only="1", state_dir="/srv/deploy x"))
    assert elsewhere["ReadWritePaths"] == ['"/srv/deploy x"']
    assert "StateDirectory" not in elsewhere
    assert "ReadWritePaths" not in forbids(unit_of(state_dir="/srv/x"))


def test_homes_are_hidden_unless_the_agent_lives_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, "/usr")
    assert forbids(unit_of(watch_only="1"))["ProtectHome"] == ["yes"]
    assert forbids(unit_of(watch_only="1", state_dir="/home/ada/x"))["ProtectHome"] == ["read-only"]
    monkeypatch.setattr(sys, "prefix", "/root/venv")
    assert forbids(unit_of(watch_only="1"))["ProtectHome"] == ["read-only"]


def test_systemd_takes_both_and_rates_the_sandbox(tmp_path: Path) -> None:
    """Where there is systemd; what stands in the units is checked above, wherever this runs."""
    for watch_only, threshold in (("0", "95"), ("1", "16")):
        unit = tmp_path / watch_only / "deployx-agent.service"
        unit.parent.mkdir()
        unit.write_text(unit_of(watch_only=watch_only))
        assert unit.read_text().count("ExecStart=") == 1
        if shutil.which("systemd-analyze"):
            assert "deployx-agent.service" not in analyze("verify", str(unit)).stderr
            rated = analyze("security", "--offline=yes", f"--threshold={threshold}", str(unit))
            assert rated.returncode == 0, rated.stdout[-300:]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
