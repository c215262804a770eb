"""Everything that can be configured, read once from ``DEPLOYX_*`` in the environment.

Invariant: configuration is read here and nowhere else. A secret may stand in a file instead
(``DEPLOYX_DATABASE_URL_FILE``, ``DEPLOYX_ADMIN_PASSWORD_FILE``, ``DEPLOYX_SECRET_KEY_FILE``,
``DEPLOYX_ARTIFACTS_SECRET_KEY_FILE``). Whatever cannot be used is named, all of it at once, one line per problem.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from deployx_protocol import limits, origins, variables
from deployx_protocol.variables import PREFIX

PING_TIMEOUT = 60  # seconds
PING_INTERVAL = 25  # seconds
CORS_ORIGINS = ["http://localhost:5173", "http://127.0.0.1:5173"]

EMAIL_MAX = 254
LOOKS_LIKE_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
PASSWORD_MIN = 10
PASSWORD_MAX = 1024
SECRET_KEY_MIN = 32
CONFIRM_ABOVE = 20
_SECRETS = ("database_url", "admin_password", "secret_key", "artifacts_secret_key")
_DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}

_SEVERAL_HOSTS = re.compile(r"^(postgres[a-z+]*://(?:[^/?#]*@)?)([^/?#@]+,[^/?#@]+)/([^/?#]*)\??(.*)$")

CommaList = Annotated[list[str], NoDecode]


class UnusableSettings(Exception):
    """The configuration cannot be used. ``problems`` has one sentence for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _named(env: str, default: Any, **limits: Any) -> Any:
    """A field whose name carries its unit while its variable does not."""
    return Field(default=default, validation_alias=PREFIX + env, **limits)


class Settings(BaseSettings):
    """The server's configuration. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, populate_by_name=True, extra="forbid", frozen=True
    )

    host: str = "127.0.0.1"
    """The address to listen on. With any other than loopback, DEPLOYX_PUBLIC_URL is needed."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    data_dir: Path = Path(".deployx")
    """The folder of the SQLite database."""
    database_url: str = Field(default="", repr=False)
    """``postgresql://user:password@host/database`` or ``sqlite:////folder/file.db``; by default in the data folder.
    Where a standby may take over, all hosts: ``postgresql://user:password@host1:5432,host2:5432/database``."""
    public_url: CommaList = []
    """The origins under which agents and browsers reach this server."""
    cors_origins: CommaList = CORS_ORIGINS
    """Origins of pages, besides our own, that may open the dashboard's socket."""
    trusted_proxies: CommaList = []
    """Addresses and networks whose ``X-Forwarded-*`` headers are believed."""
    tls_certificate: Path | None = None
    """The server's own certificate with its chain (PEM), where no proxy ends TLS; read again when it changes."""
    tls_key: Path | None = None
    """The certificate's key (PEM), which other users of the machine may not read."""

    enrollment: Literal["token", "approval"] = "token"
    """`token`: only who has an enrolment token may register. `approval`: anyone may, and waits until accepted."""
    ping_interval: float = Field(default=PING_INTERVAL, gt=0, le=3600)
    """How often the server pings each Socket.IO connection."""
    ping_timeout: float = Field(default=PING_TIMEOUT, gt=0, le=3600)
    """How long it waits for the answer before it calls the connection dead."""
    polling: bool = True
    """Whether agents may begin with long-polling, as other Socket.IO clients do; such a device is never trusted."""
    heartbeat_interval_s: float = _named("HEARTBEAT_INTERVAL", 30, gt=0, le=3600)
    """How often agents send `ping`."""
    presence_grace_s: float = _named("PRESENCE_GRACE", 85, gt=0, le=3600)
    """How long the devices of a server that crashed stay as they were, so that their agents can come back."""
    node_lease_s: float = _named("NODE_LEASE", 15, gt=0, le=300)
    """Of servers that share a PostgreSQL: how long one may be silent before the others call it lost."""
    poll_interval_s: float = _named("POLL_INTERVAL", 5, gt=0, le=60)
    """How often a server looks for what it was not told: for what the servers tell each other may get lost."""
    drain_s: float = _named("DRAIN", 30, ge=0, le=600)
    """Over how long at most a server that stops, while others share its work, spreads the going of its agents."""
    anonymous_max: int = Field(default=200, ge=1)
    """How many connections of one address may be waiting to register, to sign in, or to send a request."""
    pending_devices_max: int = Field(default=10_000, ge=1)
    """How many devices may wait to be accepted; beyond that, a new machine needs an enrolment token."""
    output_quota_bytes: int = Field(default=64 << 20, ge=0, le=limits.OUTPUT_QUOTA_MAX_BYTES)
    """How much of a task's output is kept where its run does not say; the task goes on past it, the loss is said."""
    run_retention_days: int = Field(default=90, ge=1)
    """How many days a run is kept, with its tasks, after the last of them ended."""
    deployment_retention_days: int = Field(default=365, ge=1)
    """How many days a deployment is kept after it ended, with its tasks."""
    output_retention_days: int = Field(default=30, ge=1)
    """How many days a task's output is kept after the task ended."""
    output_max_bytes: int = Field(default=10 << 30, ge=1 << 20)
    """How much output is kept in all; beyond that, the output of the tasks that ended first is deleted."""
    schedule_history_retention_days: int = Field(default=90, ge=1)
    """How many days it is kept what came of the times of schedules."""
    status_retention_days: int = Field(default=90, ge=1)
    """How many days of status changes are kept."""
    claim_retention_days: int = Field(default=90, ge=1)
    """How many days an answered claim is kept."""
    enrollment_token_retention_days: int = Field(default=30, ge=1)
    """How many days an enrolment token is kept after it expired or was revoked."""
    pending_device_retention_days: int = Field(default=30, ge=1)
    """How many days a device that nobody accepted is kept after it was last seen."""
    audit_retention_days: int = Field(default=1095, ge=30)
    """How many days of the audit record are kept."""
    refused_keys_max: int = Field(default=100_000, ge=1)
    """How many rejected keys are remembered; beyond that, the oldest are forgotten."""

    artifacts_dir: Path | None = None
    """The folder of the files that releases bring along; by default `artifacts` in the data folder."""
    artifacts_url: str = ""
    """``s3://bucket/prefix``: keep them in an object store instead of the folder."""
    artifacts_endpoint: str = ""
    """The address of the object store, where it is not Amazon's."""
    artifacts_region: str = ""
    """The object store's region."""
    artifacts_access_key: str = ""
    """Who the server is to the object store; by default what ``AWS_*`` variables or the machine's role say."""
    artifacts_secret_key: SecretStr = SecretStr("")
    """The secret that goes with the access key."""
    artifacts_redirect: bool = True
    """Send whoever downloads to the object store, which they have to reach then; otherwise the server hands it on."""
    artifacts_accel: str = ""
    """A location of nginx, such as ``/stored-artifacts/``, that serves the folder: nginx does the sending then."""
    artifacts_max_bytes: int = Field(default=100 << 30, ge=1)
    """How many bytes of artifacts are kept in all, with uploads that are under way."""
    artifacts_user_max_bytes: int = Field(default=50 << 30, ge=1)
    """How many of them one user may have uploaded."""
    artifact_retention_days: int = Field(default=14, ge=1)
    """How many days an artifact is kept that no release uses."""
    artifact_send_rate: int = Field(default=0, ge=0)
    """How many KiB per second one download gets; 0 means no limit."""
    upload_lifetime_s: int = _named("UPLOAD_LIFETIME", 2 * 86_400, ge=60)
    """How long an upload that was cut off can be gone on with."""
    uploads_max: int = Field(default=8, ge=1)
    """How many uploads may send at once; others are asked to wait."""
    downloads_max: int = Field(default=64, ge=1)
    """How many downloads may be under way at once; others are asked to wait."""

    admin_email: str = ""
    """The first administrator, made at the start of a server that has no user yet."""
    admin_password: SecretStr = SecretStr("")
    """The first administrator's password."""
    session_lifetime_s: int = _named("SESSION_LIFETIME", 14 * 86_400, ge=60)
    """How long a browser stays signed in."""
    secret_key: SecretStr = SecretStr("")
    """Seals what people sign in with besides a password; by default it is made, and kept in the data folder."""
    confirm_above: int = Field(default=CONFIRM_ABOVE, ge=0)
    """Runs on more devices than this, and deleting more within five minutes, ask for the password or a code again."""
    approve_above: int = Field(default=0, ge=0)
    """Deployments to more devices than this, and those that others join later, need a second person; 0: none do."""

    log_format: Literal["text", "json"] = "text"
    """`text` for people, `json` for programs; one line per event."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the files it names."""
        return init_settings, env_settings, _SecretFiles(settings_cls)

    @field_validator("log_format", "log_level", "enrollment", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("public_url", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("public_url", "cors_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(origins.bare(url) for url in value))

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        try:
            return [str(ipaddress.ip_network(network, strict=False)) for network in value]
        except ValueError as error:
            raise ValueError(f"{error}; write addresses or networks such as 10.0.0.0/8") from None

    @field_validator("admin_email")
    @classmethod
    def _an_address(cls, value: str) -> str:
        email = value.strip()
        if email and (len(email) > EMAIL_MAX or not email.isprintable() or not LOOKS_LIKE_EMAIL.fullmatch(email)):
            raise ValueError("an address looks like name@example.com")
        return email

    @field_validator("admin_password")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        length = len(value.get_secret_value())
        if length and not PASSWORD_MIN <= length <= PASSWORD_MAX:
            raise ValueError(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
        return value

    @field_validator("secret_key")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < SECRET_KEY_MIN:
            raise ValueError(f"a key has at least {SECRET_KEY_MIN} characters; `openssl rand -hex 32` makes one")
        return value

    @field_validator("artifacts_url")
    @classmethod
    def _a_bucket(cls, value: str) -> str:
        if value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w./-]*)?", value, re.ASCII):
            raise ValueError("write s3://bucket or s3://bucket/prefix")
        return value.rstrip("/")

    @field_validator("artifacts_endpoint")
    @classmethod
    def _an_endpoint(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/]+/?", value):
            raise ValueError("write https://host or https://host:port")
        return value.rstrip("/")

    @field_validator("artifacts_accel")
    @classmethod
    def _a_location(cls, value: str) -> str:
        if value and not re.fullmatch(r"/[A-Za-z0-9_./-]+/", value):
            raise ValueError("write a path of nginx that begins and ends with /, such as /stored-artifacts/")
        return value

    @field_validator("database_url")
    @classmethod
    def _with_driver(cls, value: str) -> str:
        if not value:
            return value
        try:
            url = make_url(_SEVERAL_HOSTS.sub(_one_by_one, value))
            return url.set(drivername=_DRIVERS[url.drivername]).render_as_string(hide_password=False)
        except (ArgumentError, KeyError):
            raise ValueError(
                "write sqlite:////folder/file.db, postgresql://user:password@host/database or, of a database that may "
                "move, postgresql://user:password@host1:5432,host2:5432/database"
            ) from None

    @model_validator(mode="after")
    def _derive(self) -> Self:
        if not self.database_url:
            url = f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'deployx.db'}"
            object.__setattr__(self, "database_url", url)
        if bool(self.admin_email) != bool(self.admin_password.get_secret_value()):
            raise ValueError("DEPLOYX_ADMIN_EMAIL and DEPLOYX_ADMIN_PASSWORD go together: set both or neither.")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("DEPLOYX_TLS_CERTIFICATE and DEPLOYX_TLS_KEY go together: set both or neither.")
        if bool(self.artifacts_access_key) != bool(self.artifacts_secret_key.get_secret_value()):
            raise ValueError("DEPLOYX_ARTIFACTS_ACCESS_KEY and DEPLOYX_ARTIFACTS_SECRET_KEY go together: set both.")
        return self

    @property
    def scheme(self) -> str:
        """What this server speaks itself."""
        return "https" if self.tls_certificate else "http"

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file, which one server at a time may use."""
        return self.database_url.startswith("sqlite")

    @property
    def is_loopback_bound(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    def allowed_origins(self) -> list[str]:
        """The origins that an agent may have dialled, the one to show people first. None means: refuse to start."""
        if self.public_url:
            return list(self.public_url)
        if not self.is_loopback_bound:
            return []
        hosts = ("127.0.0.1", "localhost", "[::1]")
        return [origins.normalise(f"{self.scheme}://{host}:{self.port}") for host in hosts]


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads ``DEPLOYX_<SECRET>_FILE`` where ``DEPLOYX_<SECRET>`` is not set."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The file's text without the line break at its end."""
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE", "") if field_name in _SECRETS else ""
        return (Path(path).read_text().rstrip("\r\n") if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All secrets that stand in files."""
        found: dict[str, Any] = {}
        for name in _SECRETS:
            value, key, _ = self.get_field_value(self.settings_cls.model_fields[name], name)
            if value is not None:
                found[key] = value
        return found


def _one_by_one(found: re.Match[str]) -> str:
    """A URL with several hosts, as libpq has it, in the form in which SQLAlchemy takes it."""
    before, places, database, query = found.groups()
    pairs = [re.fullmatch(r"(\[[^]]+\]|[^:\[\]]+)(?::(\d+))?", place) for place in places.split(",")]
    if not all(pairs):
        raise ArgumentError("a host that is none")
    hosts = ",".join(pair[1].strip("[]") for pair in pairs if pair)
    ports = ",".join(pair[2] or "5432" for pair in pairs if pair)
    return f"{before}/{database}?host={hosts}&port={ports}" + (f"&{query}" if query else "")


def load(**overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` are command-line options. Raises UnusableSettings."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise UnusableSettings([_sentence(problem) for problem in error.errors()]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableSettings([f"A secret's file cannot be read: {error}."]) from None


def known_variables() -> set[str]:
    """The names of all variables that the server reads, without the prefix."""
    names = {
        str(field.validation_alias or name).upper().removeprefix(PREFIX)
        for name, field in Settings.model_fields.items()
    }
    return names | {f"{name.upper()}_FILE" for name in _SECRETS}


def misspelt_variables() -> list[str]:
    """One sentence for each ``DEPLOYX_*`` variable in the environment that nothing reads."""
    return variables.misspelt(os.environ, known_variables())


def _sentence(problem: Any) -> str:
    said = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
    name = str(problem["loc"][0]).upper() if problem["loc"] else ""
    return f"{PREFIX}{name.removeprefix(PREFIX)}: {said}." if name else f"{said}."
