"""Service definitions: what they start, that they start it again whatever it exited with, and that systemd likes them."""

import plistlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from agent_process import environment

from conftest import StartAgent
from deployx_agent import config, service
from deployx_agent.exits import ConfigError
from deployx_agent.logs import Log, set_up


@pytest.fixture
def settings() -> config.Settings:
    return config.load({}, {"DEPLOYX_STATE_DIR": "/var/lib/deployx-agent"})


def test_unit_restarts_always_after_a_cool_down(settings: config.Settings) -> None:
    unit = service.define("linux", settings).text
    assert f"ExecStart={sys.executable} -m deployx_agent run\n" in unit
    assert "Restart=always\n" in unit
    assert f"RestartSec={service.COOL_DOWN_S}\n" in unit
    assert "StartLimitIntervalSec=0\n" in unit
    assert "RestartPreventExitStatus" not in unit
    assert "StateDirectory=deployx-agent\n" in unit
    assert "@" not in unit.replace("@system-service", "").replace("@privileged", "").replace("@resources", "")


def test_state_folder_elsewhere_is_still_writable(tmp_path: Path) -> None:
    unit = service.define("linux", config.load({}, {"DEPLOYX_STATE_DIR": str(tmp_path)})).text
    assert f"ReadWritePaths=-{tmp_path}\n" in unit
    assert "StateDirectory=" not in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_accepts_the_unit_and_rates_it_safe(settings: config.Settings, tmp_path: Path) -> None:
    unit = tmp_path / "deployx-agent.service"
    unit.write_text(service.define("linux", settings).text.replace("Documentation=man:deployx-agent(8)\n", ""))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=30)
    assert "deployx-agent.service" not in verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=30", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert rated.returncode == 0, rated.stdout[-300:]


def test_launchd_job(settings: config.Settings) -> None:
    job = plistlib.loads(service.define("darwin", settings).text.encode())
    assert job["ProgramArguments"] == [sys.executable, "-m", "deployx_agent", "run"]
    assert (job["KeepAlive"], job["RunAtLoad"], job["ThrottleInterval"]) == (True, True, service.COOL_DOWN_S)
    assert job["EnvironmentVariables"] == {"DEPLOYX_STATE_DIR": "/var/lib/deployx-agent"}


def test_windows_task(settings: config.Settings) -> None:
    definition = service.define("win32", settings)
    task = ElementTree.fromstring(definition.text.replace('encoding="UTF-16"', 'encoding="UTF-8"').encode())
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert task.findtext(".//t:Command", namespaces=space) == sys.executable
    assert "-m deployx_agent run" in (task.findtext(".//t:Arguments", namespaces=space) or "")
    assert task.findtext(".//t:ExecutionTimeLimit", namespaces=space) == "PT0S"
    assert definition.encoding == "utf-16"


def test_unknown_system_is_a_sentence(settings: config.Settings) -> None:
    with pytest.raises(ConfigError, match="no service definition for plan9"):
        service.define("plan9", settings)


def test_install_writes_and_runs_and_reports_failure(tmp_path: Path) -> None:
    log: Log = set_up("ERROR")
    marker = tmp_path / "marker"
    good = service.Definition("text\n", tmp_path / "sub/agent.service", (("touch", str(marker)),))
    service.install(good, log)
    assert good.path.read_text() == "text\n"
    assert marker.exists()
    with pytest.raises(ConfigError, match="`false` failed"):
        service.install(service.Definition("", tmp_path / "x", (("false",),)), log)
    with pytest.raises(ConfigError, match="as the administrator"):
        service.install(service.Definition("", marker / "x", ()), log)


async def test_print_and_dry_run_change_nothing(start_agent: StartAgent) -> None:
    printed = await start_agent("install-service", "--print")
    assert await printed.end() == 0
    assert printed.output.startswith("# DeployX agent.")
    tried = await start_agent("install-service", "--dry-run", "--platform", "darwin")
    assert await tried.end() == 0
    assert tried.output.startswith("write  /Library/LaunchDaemons/com.deployx.agent.plist\nrun    launchctl")


def test_wrong_command_line_exits_78(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "deployx_agent", "dance"], env=environment(tmp_path), capture_output=True, timeout=15
    )
    assert ended.returncode == 78
