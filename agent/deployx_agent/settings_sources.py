"""The table of settings, and reading them from a file, the environment and flags.

Each row says a setting's name in the settings file; ``DEPLOYX_<NAME>`` in upper case is its variable and ``--<name>``
its flag. An empty variable counts as not set, as compose files and units like to pass them.
"""

import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployx_agent.exits import ConfigError
from deployx_protocol import checks, limits, variables
from deployx_protocol.variables import PREFIX

_LONGEST_S = 86_400.0
_MOST_PARALLEL = 64


def _text(longest: int) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        try:
            return checks.printable(value, "it", longest)
        except checks.InvalidPayload as error:
            raise ValueError(f"is unusable: {str(error).rstrip('.')}") from None

    return parse


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value or "\x00" in value:
        raise ValueError("must be a path")
    return Path(value).expanduser().absolute()


def _count(value: Any) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 1_000_000:
        raise ValueError("must be a whole number from 0 to 1000000")
    return number


def _parallel(value: Any) -> int:
    number = _count(value)
    if not 1 <= number <= _MOST_PARALLEL:
        raise ValueError(f"must be a whole number from 1 to {_MOST_PARALLEL}")
    return number


def _tags(value: Any) -> dict[str, str]:
    """`role=web,env=prod`, or a table in the settings file."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        value = {name.strip(): text.strip() for name, _, text in (part.partition("=") for part in parts)}
        if len(value) != len(parts):
            raise ValueError("names a tag twice")
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("must be name=value, with commas in between")
    try:
        return checks.tags(value)
    except checks.InvalidPayload as error:
        raise ValueError(f"is unusable: {str(error).rstrip('.')}") from None


def _seconds(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0.001 <= number <= _LONGEST_S:
        raise ValueError("must be a number of seconds from 0.001 to 86400")
    return number


def _words(value: Any) -> tuple[str, ...]:
    """`shutdown -r +1`, or a list in the settings file."""
    import shlex

    words = shlex.split(value) if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise ValueError("must be a program and its arguments")
    return tuple(words)


def _switch(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise ValueError("must be 1 or 0") from None


def _level(value: Any) -> str:
    level = str(value).upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("must be debug, info, warning or error")
    return level


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    parse: Callable[[Any], Any]
    help: str
    in_file: bool = True
    """Whether a settings file may say it; what weakens security must be said at each start."""
    secret: bool = False
    """No flag, since everybody sees command lines; ``DEPLOYX_<NAME>_FILE`` instead."""

    @property
    def is_switch(self) -> bool:
        """Whether its flag takes no value."""
        return self.parse is _switch


SETTINGS = (
    Setting("server_url", _text(limits.ORIGIN_MAX), "the server, such as https://deployx.example.com"),
    Setting("enrollment_token", _text(limits.TOKEN_MAX), "the token that admits this machine", secret=True),
    Setting("agent_id", _text(limits.AGENT_ID_MAX), "the name by which the server knows the agent"),
    Setting("machine_id", _text(limits.MACHINE_ID_MAX), "instead of the hardware's UUID; for tests and containers"),
    Setting("state_dir", _path, "where the key, machine_id.json and status.json are kept"),
    Setting("reconnect_attempts", _count, "how often to try again; 0 means without end"),
    Setting("reconnect_delay", _seconds, "seconds to wait after a failure; backoff starts here"),
    Setting("heartbeat_interval", _seconds, "seconds between heartbeats, instead of what the server says"),
    Setting("connect_timeout", _seconds, "seconds until an attempt to connect, or to register, has failed"),
    Setting("pong_timeout", _seconds, "seconds until a missing pong means that the connection is broken"),
    Setting("tasks_parallel", _parallel, "how many tasks may run at once; others wait their turn"),
    Setting("downloads_parallel", _parallel, "how many artifacts may be fetched at once"),
    Setting("download_rate", _count, "KiB per second that fetching artifacts may take, all together; 0 means no limit"),
    Setting("watch_only", _switch, "run no tasks: this machine is only to be seen"),
    Setting("reboot_command", _words, "what restarts this machine, when a release asks for it"),
    Setting("no_software", _switch, "do not tell the server what is installed here"),
    Setting("update_root", _path, "the root of the keys that vouch for new versions of the agent"),
    Setting("update_patience", _seconds, "seconds that a new version of the agent has to register, or the old is back"),
    Setting("policy", _path, "the file that says what the server may do here, instead of the one of the machine"),
    Setting("tags", _tags, "what selectors find this machine by, such as role=web,env=prod"),
    Setting("ca_file", _path, "trust this private certificate authority (PEM), and no other"),
    Setting("insecure_http", _switch, "allow plain http to another machine", in_file=False),
    Setting("facts_root", _path, "the machine's file system, when the agent runs in a container that has it mounted"),
    Setting("log_level", _level, "debug, info, warning or error"),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def gather(flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Every setting that any source names, parsed; the strongest source wins. Raises ConfigError."""
    file = _named_file(flags, environment)
    return _from_file(file or default_file(), required=bool(file)) | _said(flags, environment)


def as_variables(flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """What this start was told, as the environment of a service that is to start the same.

    Not what a settings file says: the service reads that itself. No secret, and not the state folder, which every
    service definition names.
    """
    said = {f"{PREFIX}CONFIG": _named_file(flags, environment)} | {
        f"{PREFIX}{name.upper()}": value
        for name, value in _said(flags, environment).items()
        if not _BY_NAME[name].secret and name != "state_dir"
    }
    return {variable: _written(value) for variable, value in said.items() if value is not None and value is not False}


def known_variables() -> set[str]:
    """The names of all variables that the agent reads, without the prefix."""
    names = {setting.name.upper() for setting in SETTINGS}
    return names | {f"{setting.name.upper()}_FILE" for setting in SETTINGS if setting.secret} | {"CONFIG"}


def misspelt_variables(environment: Mapping[str, str]) -> list[str]:
    """One sentence for each ``DEPLOYX_*`` variable that nothing reads."""
    return variables.misspelt(environment, known_variables())


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={text}" for name, text in value.items())
    if isinstance(value, tuple):
        import shlex

        return shlex.join(value)
    return "1" if value is True else str(value)


def _named_file(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Path | None:
    file = flags.get("config") or environment.get(f"{PREFIX}CONFIG")
    return _path(str(file)) if file else None


def _said(flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        variable = f"{PREFIX}{setting.name.upper()}"
        raw = environment.get(variable, "")
        if setting.secret and not raw and environment.get(f"{variable}_FILE"):
            raw = _secret(Path(environment[f"{variable}_FILE"]))
        if raw:
            values[setting.name] = _parsed(setting, raw, variable)
        if (flag := flags.get(setting.name)) is not None:
            values[setting.name] = _parsed(setting, flag, f"--{setting.name.replace('_', '-')}")
    return values


def default_file() -> Path:
    """The settings file that is read when none is named, and need not exist."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "DeployX Agent" / "agent.toml"
    if os.geteuid() == 0:
        return Path("/etc/deployx-agent/agent.toml")
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "deployx-agent/agent.toml"


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not required:
            return {}
        raise ConfigError(f"The settings file {path} cannot be read ({error.strerror}).") from None
    import tomllib

    try:
        content = tomllib.loads(raw.decode())
    except ValueError as error:
        raise ConfigError(f"The settings file {path} is not valid TOML: {error}.") from None
    values = {}
    for name, value in content.items():
        setting = _BY_NAME.get(name)
        if setting is None:
            known = ", ".join(row.name for row in SETTINGS if row.in_file)
            raise ConfigError(f"The settings file {path} has an unknown setting `{name}`. Known are: {known}.")
        if not setting.in_file:
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"`{name}` does not work in the settings file {path}; say {flag} at each start.")
        values[name] = _parsed(setting, value, f"`{name}` in {path}")
    return values


def _parsed(setting: Setting, value: Any, where: str) -> Any:
    try:
        return setting.parse(value)
    except ValueError as error:
        raise ConfigError(f"{where} {error}.") from None


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The secret file {path} cannot be read ({getattr(error, 'strerror', None) or error})."
        ) from None
