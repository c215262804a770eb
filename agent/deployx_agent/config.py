"""Where the agent's settings come from: the settings file (TOML), ``DEPLOYX_*`` variables, flags, in rising precedence.

The four constants are the specification's. Invariants: an unusable setting ends the agent with a sentence and
exit code 78 before anything is dialled; plain http leaves this machine only when this start says so; without a token
and without a key the default server is never dialled.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployx_agent import settings_sources
from deployx_agent.exits import ConfigError
from deployx_protocol import origins
from deployx_protocol.tokens import enrollment_origin

SERVER_URL = "https://deployx-server.onrender.com"
RECONNECT_ATTEMPTS = 10
RECONNECT_DELAY = 5  # seconds
HEARTBEAT_INTERVAL = 30  # seconds
TASKS_PARALLEL = 4
DOWNLOADS_PARALLEL = 2
UPDATE_PATIENCE = 120  # seconds

HOW_TO_ENROL = (
    "In the dashboard choose Add device and run the line it shows, or run `deployx-agent enroll TOKEN`; where the "
    "server accepts machines by hand, DEPLOYX_SERVER_URL is enough."
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked and complete, but for the server: that needs the state folder, see ``resolve_server``."""

    state_dir: Path
    server_url: str | None
    """Origin, when it was configured."""
    enrollment_token: str | None
    agent_id: str | None
    machine_id: str | None
    reconnect_attempts: int
    """0 means without end."""
    reconnect_delay_s: float
    heartbeat_interval_s: float | None
    """None: what the server says, HEARTBEAT_INTERVAL should it not say."""
    connect_timeout_s: float
    pong_timeout_s: float | None
    """None: from the heartbeat's interval."""
    tasks_parallel: int
    downloads_parallel: int
    download_rate: int
    """KiB a second; 0 means without limit."""
    watch_only: bool
    no_software: bool
    reboot_command: tuple[str, ...]
    """Empty: what the system has for that."""
    update_root: Path
    update_patience_s: float
    policy: Path | None
    """None: the machine's, which need not exist."""
    tags: Mapping[str, str]
    ca_file: Path | None
    insecure_http: bool
    facts_root: Path
    log_level: str
    given: Mapping[str, str]
    """The variables with which a service starts the same; without token and state folder."""


def load(flags: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """The settings from all sources; ``flags`` that are None count as not given. Raises ConfigError."""
    environment = os.environ if environment is None else environment
    values = settings_sources.gather(flags, environment)
    insecure = bool(values.get("insecure_http", False))
    token = values.get("enrollment_token")
    if token is not None:
        token_origin(token)
    server_url = values.get("server_url")
    return Settings(
        state_dir=values.get("state_dir") or default_state_dir(),
        server_url=None if server_url is None else server_origin(server_url, insecure),
        enrollment_token=token,
        agent_id=values.get("agent_id"),
        machine_id=values.get("machine_id"),
        reconnect_attempts=values.get("reconnect_attempts", RECONNECT_ATTEMPTS),
        reconnect_delay_s=values.get("reconnect_delay", float(RECONNECT_DELAY)),
        heartbeat_interval_s=values.get("heartbeat_interval"),
        connect_timeout_s=values.get("connect_timeout", 20.0),
        pong_timeout_s=values.get("pong_timeout"),
        tasks_parallel=values.get("tasks_parallel", TASKS_PARALLEL),
        downloads_parallel=values.get("downloads_parallel", DOWNLOADS_PARALLEL),
        download_rate=values.get("download_rate", 0),
        watch_only=values.get("watch_only", False),
        no_software=values.get("no_software", False),
        reboot_command=values.get("reboot_command", ()),
        update_root=values.get("update_root") or settings_sources.default_file().with_name("update-root.json"),
        update_patience_s=values.get("update_patience", float(UPDATE_PATIENCE)),
        policy=values.get("policy"),
        tags=values.get("tags", {}),
        ca_file=_readable(values.get("ca_file")),
        insecure_http=insecure,
        facts_root=values.get("facts_root") or Path("/"),
        log_level=values.get("log_level", "INFO"),
        given=settings_sources.as_variables(flags, environment),
    )


def resolve_server(settings: Settings, *, recorded: str, pending_token: str, has_key: bool) -> str:
    """The origin to dial.

    What is configured, else what enrolment recorded, else what the token names, else, for a machine that has a key, the
    default. ``pending_token`` is the token that would be presented. Raises ConfigError.
    """
    named = token_origin(pending_token) if pending_token else ""
    server = settings.server_url or named or recorded
    if not server:
        if not has_key:
            raise ConfigError(f"This machine is not enrolled, and no server is configured. {HOW_TO_ENROL}")
        server = SERVER_URL
    if named and named != server:
        raise ConfigError(
            f"The enrolment token is for {named}, but the configured server is {server}. Remove the server setting, or "
            "get a token from that server."
        )
    return server_origin(server, settings.insecure_http)


def server_origin(url: str, insecure_http: bool) -> str:
    """``url`` as an origin, if it is one that may be dialled. Raises ConfigError."""
    try:
        origin = origins.bare(url)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if urlsplit(url.strip()).scheme not in ("http", "https"):
        raise ConfigError(f"{url!r} is not a server address; it should look like https://deployx.example.com.")
    if origin.startswith("http:") and not insecure_http and not origins.is_loopback(origin):
        raise ConfigError(
            f"{origin} is plain http: anyone on the way could read and change everything. Use https, or say "
            "--insecure-http (DEPLOYX_INSECURE_HTTP=1) at each start."
        )
    return origin


def token_origin(token: str) -> str:
    """The server that an enrolment token names. Raises ConfigError, without the token in it."""
    try:
        return origins.normalise(enrollment_origin(token))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def default_state_dir() -> Path:
    """`/var/lib/deployx-agent` for root, else below the XDG state folder; macOS and Windows have their own places."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "DeployX Agent"
    if os.geteuid() == 0:
        return Path(
            "/Library/Application Support/DeployX Agent" if sys.platform == "darwin" else "/var/lib/deployx-agent"
        )
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "deployx-agent"


def _readable(ca_file: Path | None) -> Path | None:
    if ca_file is not None and not os.access(ca_file, os.R_OK):
        raise ConfigError(f"The CA file {ca_file} cannot be read.")
    return ca_file
