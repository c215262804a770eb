"""Starting the agent at every boot: a systemd unit, a launchd job or a Windows task, from the templates beside this.

Invariant: whatever the agent exits with, it is started again after a cool-down. That includes 77 and 78: a server whose
address or database is wrong for an hour refuses a whole fleet with them, and nobody can visit a fleet. The service runs
with the settings that `install-service` was given, but no definition holds a token: everybody may read those. systemd's
unit holds all that takes nothing from tasks, and a whole sandbox where there are none (``watch_only``).
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from deployx_agent.config import Settings
from deployx_agent.exits import ConfigError
from deployx_agent.logs import Log
from deployx_agent.settings_sources import SETTINGS
from deployx_protocol.variables import PREFIX

COOL_DOWN_S = 30
_SWITCHES = {f"{PREFIX}{setting.name.upper()}" for setting in SETTINGS if setting.is_switch}
_PLAIN = re.compile(r"[\w@+=:,./$%-]+")
_TEMPLATES = Path(__file__).parent / "templates"
_HOMES = ("/home", "/root", "/run/user")
"""What ``ProtectHome=yes`` hides."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A service definition, where it belongs, and the commands that put it to work."""

    text: str
    path: Path
    commands: tuple[tuple[str, ...], ...]
    encoding: str = "utf-8"


def define(platform: str, settings: Settings) -> Definition:
    """The definition for ``platform`` (as ``sys.platform``), starting this very installation."""
    makers = {"linux": _systemd, "darwin": _launchd, "win32": _windows}
    if platform not in makers:
        raise ConfigError(f"There is no service definition for {platform}; start `deployx-agent run` by its own means.")
    return makers[platform](settings)


def describe(definition: Definition) -> str:
    """What ``install`` would do, for people."""
    steps = "\n".join("run    " + " ".join(command) for command in definition.commands)
    return f"write  {definition.path}\n{steps}\n\n{definition.text}"


def install(definition: Definition, log: Log) -> None:
    """Write the definition and run its commands. Raises ConfigError with what went wrong."""
    try:
        definition.path.parent.mkdir(parents=True, exist_ok=True)
        definition.path.write_text(definition.text, encoding=definition.encoding)
    except OSError as error:
        raise ConfigError(
            f"{definition.path} cannot be written ({error.strerror}); run this command as the administrator."
        ) from None
    log.info("Service definition written", path=definition.path)
    for command in definition.commands:
        try:
            subprocess.run(command, check=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigError(
                f"`{' '.join(command)}` failed ({error}). The definition stays in {definition.path}."
            ) from None
    log.info("Service started", service=definition.path.stem)


def _fill(template: str, **values: str) -> str:
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _systemd(settings: Settings) -> Definition:
    variables = {"DEPLOYX_STATE_DIR": str(settings.state_dir), **settings.given}
    text = _fill(
        "deployx-agent.service",
        PYTHON=_unit_quoted(sys.executable.replace("$", "$$")),
        ENVIRONMENT="\n".join(f"Environment={_unit_quoted(f'{name}={value}')}" for name, value in variables.items()),
        STATE=_state(settings),
        COOL_DOWN_S=str(COOL_DOWN_S),
        PROFILE=_profile(settings),
    )
    path = Path("/etc/systemd/system/deployx-agent.service")
    systemctl = "systemctl"
    return Definition(text, path, ((systemctl, "daemon-reload"), (systemctl, "enable", "--now", path.name)))


def _profile(settings: Settings) -> str:
    """What the unit forbids, with reasons for what it does not."""
    if not settings.watch_only:
        return _fill("runs-tasks.conf")
    needed = [Path(sys.prefix), Path(sys.base_prefix), _TEMPLATES, settings.state_dir, settings.ca_file]
    needed += [Path(file) for name, file in settings.given.items() if name == "DEPLOYX_CONFIG"]
    at_home = any(path and path.is_relative_to(home) for path in needed for home in _HOMES)
    return _fill("watches-only.conf", HOME="read-only" if at_home else "yes")


def _state(settings: Settings) -> str:
    """Who makes the state folder: systemd below its own place, its owner elsewhere."""
    folder = settings.state_dir
    if folder.parent == Path("/var/lib"):
        return f"StateDirectory={_unit_quoted(folder.name)}\nStateDirectoryMode=0700"
    return f"ReadWritePaths={_unit_quoted(str(folder))}" if settings.watch_only else ""


def _launchd(settings: Settings) -> Definition:
    text = _fill(
        "com.deployx.agent.plist",
        PYTHON=escape(sys.executable),
        STATE_DIR=escape(str(settings.state_dir)),
        ENVIRONMENT="".join(
            f"\n    <key>{name}</key>\n    <string>{escape(value)}</string>" for name, value in settings.given.items()
        ),
        COOL_DOWN_S=str(COOL_DOWN_S),
    )
    path = Path("/Library/LaunchDaemons/com.deployx.agent.plist")
    return Definition(text, path, (("launchctl", "bootstrap", "system", str(path)),))


def _windows(settings: Settings) -> Definition:
    text = _fill(
        "deployx-agent.xml",
        PYTHON=escape(sys.executable),
        STATE_DIR=escape(str(settings.state_dir)),
        FLAGS=escape("".join(f" {_flag(name, value)}" for name, value in settings.given.items())),
    )
    path = settings.state_dir / "deployx-agent.xml"
    create = ("schtasks", "/Create", "/F", "/TN", "DeployX Agent", "/XML", str(path))
    return Definition(text, path, (create, ("schtasks", "/Run", "/TN", "DeployX Agent")), "utf-16")


def _flag(variable: str, value: str) -> str:
    """``DEPLOYX_NAME`` and its value as words of a Windows command line, where a task has no environment of its own."""
    flag = f"--{variable.removeprefix('DEPLOYX_').lower().replace('_', '-')}"
    return flag if variable in _SWITCHES else f'{flag} "{value}"'


def _unit_quoted(text: str) -> str:
    """``text`` as one word of a unit file."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if _PLAIN.fullmatch(text) else f'"{escaped}"'
