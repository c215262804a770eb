"""`docs/configuration.md`: every DEPLOYX_ variable of agent, server and command line, with its default and meaning."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from app.settings import Settings
from deployx_agent import config
from deployx_agent.settings_sources import SETTINGS
from deployx_protocol.variables import PREFIX
from documents.source import ROOT, classes

_SERVER = ROOT / "backend" / "app" / "settings.py"
_SECRETS = ("database_url", "admin_password", "secret_key", "artifacts_secret_key")
_HEAD = """# Configuration

<!-- Generated from the settings of agent and server. Change them, then run `.venv/bin/python tools/docs.py`. -->

Durations are seconds. An empty variable counts as not set. A setting that cannot be used ends the program with one line
that names it, and exit code 78. For a variable marked *secret*, the same name with `_FILE` at its end names a file that
holds the value.
"""
_SERVER_HEAD = """## Server

`deployx-server` reads its environment and nothing else; `--host` and `--port` of `deployx-server serve` win over it.
Lists are separated by commas.
"""
_AGENT_HEAD = """## Agent

In rising precedence: the settings file, the environment, flags. `DEPLOYX_LOG_LEVEL` is `log_level = "…"` in the file
and `--log-level` as a flag, and so on; a secret has no flag. The file is TOML: `/etc/deployx-agent/agent.toml` for
root, else `~/.config/deployx-agent/agent.toml`; `DEPLOYX_CONFIG` or `--config` names another.
"""
_DEFAULTS = {
    "server_url": f"what enrolment recorded or the token names; with a key but neither, `{config.SERVER_URL}`",
    "agent_id": "host name and 8 digits of the key's hash",
    "machine_id": "the hardware's",
    "state_dir": "`/var/lib/deployx-agent` for root, else `~/.local/state/deployx-agent`",
    "heartbeat_interval": f"what the server says, else {config.HEARTBEAT_INTERVAL}",
    "reboot_command": "what the system has for that",
    "pong_timeout": "the heartbeat's interval, from 15 to 60",
    "ca_file": "the system's authorities",
}
_OTHERS = """## Command line

| Variable | Meaning |
|---|---|
| `DEPLOYX_URL` | The server, instead of the stored login. |
| `DEPLOYX_TOKEN` | An API token (`dxp_…`), instead of the stored login. |

## Set for each task

| Variable | Meaning |
|---|---|
| `DEPLOYX_TASK_ID` | The task that a program runs for. |
| `DEPLOYX_TASK_LEADER` | Its first process, and the folder of the agent that started it. |

## Development and tests

| Variable | Meaning |
|---|---|
| `DEPLOYX_DEV_SERVER` | Where the dashboard's development server finds the API; default `http://127.0.0.1:8000`. |
| `DEPLOYX_PYTHON` | The Python that generates the dashboard's types, instead of `.venv/bin/python`. |
| `DEPLOYX_TEST_CHROMIUM` | The browser for the tests, instead of the one on the path. |
"""


def render() -> str:
    """The whole page."""
    return "\n".join([_HEAD, _SERVER_HEAD, _table(_server_rows()), _AGENT_HEAD, _table(_agent_rows()), _OTHERS])


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = [f"| `{variable}` | {default} | {meaning} |" for variable, default, meaning in rows]
    return "| Variable | Default | Meaning |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def _server_rows() -> list[tuple[str, str, str]]:
    rows = []
    for field in classes(_SERVER)["Settings"].fields:
        info = Settings.model_fields[field.name]
        variable = str(info.validation_alias or f"{PREFIX}{field.name.upper()}")
        if not field.doc:
            raise ValueError(f"{variable} has no docstring in {_SERVER.relative_to(ROOT)}.")
        rows.append((variable, _value(info.default), field.doc + (" *Secret.*" if field.name in _SECRETS else "")))
    return rows


def _agent_rows() -> list[tuple[str, str, str]]:
    defaults = config.load({"config": None}, {"DEPLOYX_CONFIG": "/dev/null"})
    rows = []
    for setting in SETTINGS:
        name = setting.name if hasattr(defaults, setting.name) else f"{setting.name}_s"
        meaning = setting.help[0].upper() + setting.help[1:] + "."
        meaning += "" if setting.in_file else " Not in the settings file."
        meaning += " *Secret.*" if setting.secret else ""
        default = _DEFAULTS.get(setting.name) or _value(getattr(defaults, name))
        rows.append((f"{PREFIX}{setting.name.upper()}", default, meaning))
    return rows


def _value(default: Any) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is PydanticUndefined or default is None or default == "" or default == []:
        return "–"
    if isinstance(default, list):
        default = ",".join(default)
    if isinstance(default, bool):
        default = int(default)
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return f"`{default if not isinstance(default, Path) else default.as_posix()}`"
