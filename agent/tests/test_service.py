"""Service definitions: what they start, with which settings, and that they start it again whatever it exited with."""

import os
import plistlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from deployx_agent import config, service
from deployx_agent.exits import ConfigError
from deployx_agent.logs import Log, set_up
from deployx_agent.tasks.engine import END_PATIENCE_S, REPORT_PATIENCE_S, STOP_PATIENCE_S
from deployx_protocol.tokens import new_enrollment_token
from tests.support.agent_process import StartAgent, environment


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
    assert not re.search("@[A-Z_]+@", unit)


def test_state_folder_elsewhere_is_left_to_its_owner(tmp_path: Path) -> None:
    unit = service.define("linux", config.load({}, {"DEPLOYX_STATE_DIR": str(tmp_path)})).text
    assert "StateDirectory=" not in unit


def values(unit: str, name: str) -> list[str]:
    """What the lines ``name=…`` of a unit file say."""
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{name}=")]


def test_unit_gives_tasks_time_to_end(settings: config.Settings) -> None:
    unit = service.define("linux", settings).text
    assert values(unit, "UMask") == ["0077"]
    assert values(unit, "KillMode") == ["mixed"], "a stop is for the agent, which waits for its tasks"
    assert values(unit, "OOMPolicy") == ["continue"]
    patience_s = STOP_PATIENCE_S + END_PATIENCE_S + REPORT_PATIENCE_S
    assert float(values(unit, "TimeoutStopSec")[0]) > patience_s
    assert plistlib.loads(service.define("darwin", settings).text.encode())["ExitTimeOut"] > patience_s


def test_unit_passes_on_what_it_was_given_and_no_token(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "agent.toml").write_text('agent_id = "of the file"\n')
    given = config.load(
        {"server_url": "https://a.example", "log_level": None, "insecure_http": "1"},
        {
            "DEPLOYX_STATE_DIR": "/var/lib/deploy x",
            "DEPLOYX_CONFIG": str(tmp_path / "agent.toml"),
            "DEPLOYX_ENROLLMENT_TOKEN": new_enrollment_token("https://a.example"),
            "DEPLOYX_MACHINE_ID": "50% 'of' \\ $HOME \"7\"",
            "DEPLOYX_CA_FILE": str(tmp_path / "ca.pem"),
            "DEPLOYX_RECONNECT_ATTEMPTS": "0",
        },
    )
    unit = service.define("linux", given).text
    assert values(unit, "Environment") == [
        '"DEPLOYX_STATE_DIR=/var/lib/deploy x"',
        f"DEPLOYX_CONFIG={tmp_path}/agent.toml",
        "DEPLOYX_SERVER_URL=https://a.example",
        '"DEPLOYX_MACHINE_ID=50%% \'of\' \\\\ $HOME \\"7\\""',
        "DEPLOYX_RECONNECT_ATTEMPTS=0",
        f"DEPLOYX_CA_FILE={tmp_path}/ca.pem",
        "DEPLOYX_INSECURE_HTTP=1",
    ]
    job = plistlib.loads(service.define("darwin", given).text.encode())
    assert job["EnvironmentVariables"] == {"DEPLOYX_STATE_DIR": "/var/lib/deploy x", **given.given}
    assert given.given["DEPLOYX_MACHINE_ID"] == "50% 'of' \\ $HOME \"7\""
    arguments = task_of(service.define("win32", given)).findtext(".//t:Arguments", namespaces=TASK) or ""
    assert '--state-dir "/var/lib/deploy x"' in arguments
    assert ' --server-url "https://a.example"' in arguments
    assert arguments.endswith(" --insecure-http")
    for platform in ("linux", "darwin", "win32"):
        assert "dxe_" not in service.define(platform, given).text
        assert "of the file" not in service.define(platform, given).text


TASK = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}


def task_of(definition: service.Definition) -> ElementTree.Element:
    return ElementTree.fromstring(definition.text.replace('encoding="UTF-16"', 'encoding="UTF-8"').encode())


def test_launchd_job(settings: config.Settings) -> None:
    job = plistlib.loads(service.define("darwin", settings).text.encode())
    assert job["ProgramArguments"] == [sys.executable, "-m", "deployx_agent", "run"]
    assert (job["KeepAlive"], job["RunAtLoad"], job["ThrottleInterval"]) == (True, True, service.COOL_DOWN_S)
    assert job["EnvironmentVariables"] == {"DEPLOYX_STATE_DIR": "/var/lib/deployx-agent"}


def test_windows_task(settings: config.Settings) -> None:
    definition = service.define("win32", settings)
    task = task_of(definition)
    assert task.findtext(".//t:Command", namespaces=TASK) == sys.executable
    assert "-m deployx_agent run" in (task.findtext(".//t:Arguments", namespaces=TASK) or "")
    assert task.findtext(".//t:ExecutionTimeLimit", namespaces=TASK) == "PT0S"
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
        [sys.executable, "-m", "deployx_agent", "dance"],
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78


def test_a_reader_that_has_left_gets_no_traceback(tmp_path: Path) -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    command = [sys.executable, "-m", "deployx_agent", "install-service", "--print"]
    ended = subprocess.run(
        command, check=False, env=environment(tmp_path), stdout=ours, stderr=subprocess.PIPE, text=True, timeout=30
    )
    os.close(ours)
    assert (ended.returncode, ended.stderr) == (0, "")
