"""Settings: the specification's defaults, three sources in rising precedence, and which server a start dials."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployx_agent import VERSION, cli, config, settings_sources
from deployx_agent.exits import ConfigError
from deployx_agent.settings_sources import SETTINGS
from deployx_protocol.tokens import new_enrollment_token
from deployx_protocol.variables import AGENT as VARIABLES
from tests.support.agent_process import environment

AGENT = Path(__file__).parents[1]
A, B = "https://a.example", "https://b.example"


def load(flags: dict[str, Any] | None = None, **env: str) -> config.Settings:
    return config.load(
        flags or {}, {"DEPLOYX_STATE_DIR": "/state", **{f"DEPLOYX_{k.upper()}": v for k, v in env.items()}}
    )


def test_main_names_the_specifications_settings() -> None:
    named = runpy.run_path(str(AGENT / "main.py"))
    assert named["SERVER_URL"] == "https://deployx-server.onrender.com"
    assert named["RECONNECT_ATTEMPTS"] == 10
    assert named["RECONNECT_DELAY"] == 5
    assert named["HEARTBEAT_INTERVAL"] == 30


def test_main_runs_the_agent(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(AGENT / "main.py")],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78
    assert "not enrolled" in ended.stderr


def test_defaults_are_the_specifications() -> None:
    settings = load()
    assert settings.reconnect_attempts == config.RECONNECT_ATTEMPTS
    assert settings.reconnect_delay_s == config.RECONNECT_DELAY
    assert settings.heartbeat_interval_s is None
    assert settings.server_url is None


def test_a_bug_goes_through_the_log_and_exits_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = new_enrollment_token(A)

    def broken(*_arguments: object) -> None:
        raise RuntimeError(f"no {token}")

    monkeypatch.setitem(cli._COMMANDS, "status", broken)
    assert cli.main(["status"]) == 70
    shown = capsys.readouterr().err
    assert "A bug ended the agent" in shown
    assert "RuntimeError: no dxe_…" in shown


def test_version_is_the_packages() -> None:
    import tomllib

    assert tomllib.loads((AGENT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_precedence_file_environment_flag(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('agent_id = "file"\nreconnect_attempts = 3\nreconnect_delay = 2.5\n')
    settings = load({"agent_id": "flag"}, config=str(file), agent_id="env", reconnect_attempts="4")
    assert (settings.agent_id, settings.reconnect_attempts, settings.reconnect_delay_s) == ("flag", 4, 2.5)


EACH = {
    "update_root": ("/srv/root.json", "update_root", Path("/srv/root.json")),
    "update_patience": ("9", "update_patience_s", 9.0),
    "server_url": ("https://a.example", "server_url", "https://a.example"),
    "agent_id": ("till-7", "agent_id", "till-7"),
    "machine_id": ("m-7", "machine_id", "m-7"),
    "state_dir": ("/var/lib/x", "state_dir", Path("/var/lib/x")),
    "reconnect_attempts": ("0", "reconnect_attempts", 0),
    "reconnect_delay": ("2.5", "reconnect_delay_s", 2.5),
    "heartbeat_interval": ("7", "heartbeat_interval_s", 7.0),
    "connect_timeout": ("3", "connect_timeout_s", 3.0),
    "pong_timeout": ("4", "pong_timeout_s", 4.0),
    "tasks_parallel": ("7", "tasks_parallel", 7),
    "downloads_parallel": ("3", "downloads_parallel", 3),
    "download_rate": ("1024", "download_rate", 1024),
    "watch_only": ("1", "watch_only", True),
    "no_software": ("1", "no_software", True),
    "reboot_command": ("shutdown -r +1", "reboot_command", ("shutdown", "-r", "+1")),
    "policy": ("/etc/x/policy.toml", "policy", Path("/etc/x/policy.toml")),
    "tags": ("role=web,env=prod", "tags", {"role": "web", "env": "prod"}),
    "ca_file": ("/dev/null", "ca_file", Path("/dev/null")),
    "insecure_http": ("1", "insecure_http", True),
    "facts_root": ("/host", "facts_root", Path("/host")),
    "log_level": ("warning", "log_level", "WARNING"),
}


@pytest.mark.parametrize("name", EACH)
def test_each_setting_by_variable_flag_and_file(name: str, tmp_path: Path) -> None:
    text, attribute, parsed = EACH[name]
    assert getattr(load({}, **{name: text}), attribute) == parsed
    flag = [
        f"--{name.replace('_', '-')}",
        *([text] if name not in ("insecure_http", "no_software", "watch_only") else []),
    ]
    assert getattr(load(vars(cli._parser().parse_args(["run", *flag]))), attribute) == parsed
    assert getattr(load(vars(cli._parser().parse_args([*flag, "run"]))), attribute) == parsed
    if name not in ("insecure_http", "state_dir"):
        file = tmp_path / "agent.toml"
        file.write_text(f"{name} = {text}\n" if text[0].isdigit() else f'{name} = "{text}"\n')
        assert getattr(load(config=str(file)), attribute) == parsed


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("tasks_parallel", "0", "must be a whole number from 1 to 64"),
        ("tasks_parallel", "65", "must be a whole number from 1 to 64"),
        ("tags", "role=web,role=db", "names a tag twice"),
        ("tags", "=web", "is unusable: `a name in tags` is empty"),
        (
            "tags",
            ",".join(f"t{number}" for number in range(33)),
            "is unusable: There are 33 tags; at most 32 are allowed",
        ),
    ],
)
def test_unusable_settings_of_tasks(name: str, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"DEPLOYX_{name.upper()} {why}.")):
        load({}, **{name: text})


def test_tags_may_be_a_table_and_are_passed_on_to_a_service(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[tags]\nrole = "web"\nlaptop = ""\n')
    assert load(config=str(file)).tags == {"role": "web", "laptop": ""}
    assert load({}, tags="role=web,laptop").given["DEPLOYX_TAGS"] == "role=web,laptop="


def test_no_setting_is_left_out() -> None:
    assert set(EACH) | {"enrollment_token"} == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize(
    ("platform", "user", "folder", "file"),
    [
        ("linux", 0, "/var/lib/deployx-agent", "/etc/deployx-agent/agent.toml"),
        ("linux", 7, "/home/x/.local/state/deployx-agent", "/home/x/.config/deployx-agent/agent.toml"),
        ("darwin", 0, "/Library/Application Support/DeployX Agent", "/etc/deployx-agent/agent.toml"),
        ("win32", 0, "/ProgramData/DeployX Agent", "/ProgramData/DeployX Agent/agent.toml"),
    ],
)
def test_where_state_and_settings_are(
    monkeypatch: pytest.MonkeyPatch, platform: str, user: int, folder: str, file: str
) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("PROGRAMDATA", "/ProgramData")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(sys, "platform", platform)
    assert config.default_state_dir() == Path(folder)
    assert settings_sources.default_file() == Path(file)


def test_empty_variable_counts_as_not_set() -> None:
    assert load(server_url="", agent_id="").server_url is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("server_url = ", "not valid TOML"),
        ("sever_url = 'x'", "unknown setting `sever_url`"),
        ("insecure_http = true", "say --insecure-http at each start"),
        ("reconnect_attempts = true", "must be a whole number"),
        ("reconnect_attempts = 1.5", "must be a whole number"),
        ("reconnect_delay = -1", "must be a number of seconds"),
        ("agent_id = 5", "must be text"),
        ('agent_id = "a\\u0007"', "agent_id"),
        ("log_level = 'loud'", "must be debug, info, warning or error"),
    ],
)
def test_unusable_settings_file_is_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=sentence) as refused:
        load(config=str(file))
    assert str(file) in str(refused.value)
    assert str(refused.value).endswith(".")


def test_token_from_a_file(tmp_path: Path) -> None:
    token = new_enrollment_token(A)
    (tmp_path / "token").write_text(token + "\n")
    assert load(enrollment_token_file=str(tmp_path / "token")).enrollment_token == token
    with pytest.raises(ConfigError, match="cannot be read"):
        load(enrollment_token_file=str(tmp_path / "nothing"))


def test_token_has_no_flag_and_no_error_shows_it() -> None:
    assert [setting.name for setting in SETTINGS if setting.secret] == ["enrollment_token"]
    with pytest.raises(ConfigError) as refused:
        load(enrollment_token="dxe_secretsecret")
    assert "secretsecret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000", "https://a.example/"]
)
def test_https_anywhere_and_http_on_this_machine(url: str) -> None:
    assert load(server_url=url).server_url == url.rstrip("/")


@pytest.mark.parametrize("url", ["http://a.example", "http://10.0.0.5:8000", "http://127.0.0.1.evil.example"])
def test_threat_18_plain_http_elsewhere_needs_the_flag_at_each_start(url: str) -> None:
    with pytest.raises(ConfigError, match="plain http"):
        load(server_url=url)
    assert load(server_url=url, insecure_http="1").server_url == url
    assert load({"insecure_http": "1"}, server_url=url).server_url == url


@pytest.mark.parametrize(
    "url",
    [
        "ws://a.example",
        "a.example",
        "https://",
        "https://a.example:99999",
        "https://[::1",
        "https://a:0",
        "file:///x",
        "",
    ],
)
def test_what_is_no_server_address(url: str) -> None:
    with pytest.raises(ConfigError):
        config.server_origin(url, True)


@pytest.mark.parametrize(
    ("configured", "recorded", "token_for", "has_key", "dialled"),
    [
        (A, "", "", False, A),
        (A, B, "", True, A),
        ("", B, "", True, B),
        ("", "", A, False, A),
        ("", B, A, True, A),
        (A, "", A, False, A),
        ("", "", "", True, config.SERVER_URL),
        ("", "", "", False, None),
        (B, "", A, False, None),
    ],
)
def test_which_server_is_dialled(
    configured: str, recorded: str, token_for: str, has_key: bool, dialled: str | None
) -> None:
    settings = load(server_url=configured)
    token = new_enrollment_token(token_for) if token_for else ""
    if dialled is None:
        with pytest.raises(ConfigError):
            config.resolve_server(settings, recorded=recorded, pending_token=token, has_key=has_key)
    else:
        assert config.resolve_server(settings, recorded=recorded, pending_token=token, has_key=has_key) == dialled


def test_a_token_for_plain_http_elsewhere_needs_the_flag_too() -> None:
    token = new_enrollment_token("http://10.0.0.5:8000")
    with pytest.raises(ConfigError, match="plain http"):
        config.resolve_server(load(), recorded="", pending_token=token, has_key=False)


def test_every_variable_is_known_to_the_other_programs() -> None:
    assert settings_sources.known_variables() == VARIABLES


def test_a_misspelt_variable_is_a_warning(tmp_path: Path) -> None:
    env = environment(tmp_path) | {"DEPLOYX_SERVER_URI": "https://a.example", "DEPLOYX_PORT": "9000"}
    command = [sys.executable, "-m", "deployx_agent", "status", "--json"]
    ended = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=30)
    warnings = [line for line in ended.stderr.splitlines() if "[WARNING]" in line]
    assert len(warnings) == 1, ended.stderr
    expected = "DEPLOYX_SERVER_URI is not a setting of DeployX and changes nothing; did you mean DEPLOYX_SERVER_URL?"
    assert warnings[0].endswith(expected)
    assert ended.stdout.startswith("{")
