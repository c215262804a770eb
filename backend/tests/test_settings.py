"""Every setting that is documented: its default, its effect, and what is said when it cannot be used."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app import main, settings
from app.settings import Settings, UnusableSettings
from deployx_protocol.variables import SERVER

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
SERVER_ROW = re.compile(r"^\| `(DEPLOYX_\w+)` \| (?:`([^`]*)`|–) \|", re.MULTILINE)


def documented() -> dict[str, str]:
    """The server's variables, each with its default as text."""
    text = DOCUMENT.read_text()
    section = text[text.index("DEPLOYX_HOST") - 10 : text.index("settings file, the environment, flags")]
    return {name: default or "" for name, default in SERVER_ROW.findall(section)}


def fields() -> dict[str, str]:
    """Variable → field."""
    found = {}
    for name, field in Settings.model_fields.items():
        found[str(field.validation_alias or f"DEPLOYX_{name.upper()}")] = name
    return found


def as_text(value: Any) -> str:
    """A value as it would stand in a variable."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


CHANGED: dict[str, tuple[str, Any]] = {
    "DEPLOYX_HOST": ("::1", "::1"),
    "DEPLOYX_PORT": ("9000", 9000),
    "DEPLOYX_POLLING": ("false", False),
    "DEPLOYX_DATA_DIR": ("/var/lib/deployx", Path("/var/lib/deployx")),
    "DEPLOYX_DATABASE_URL": ("postgres://a:b@c/d", "postgresql+asyncpg://a:b@c/d"),
    "DEPLOYX_PUBLIC_URL": (
        "HTTPS://DeployX.example.com:443/, http://10.0.0.1:8000",
        ["https://deployx.example.com", "http://10.0.0.1:8000"],
    ),
    "DEPLOYX_CORS_ORIGINS": ("https://a.example", ["https://a.example"]),
    "DEPLOYX_TRUSTED_PROXIES": ("10.0.0.0/8, ::1", ["10.0.0.0/8", "::1/128"]),
    "DEPLOYX_TLS_CERTIFICATE": ("/etc/deployx/server.pem", Path("/etc/deployx/server.pem")),
    "DEPLOYX_TLS_KEY": ("/etc/deployx/server.key", Path("/etc/deployx/server.key")),
    "DEPLOYX_ENROLLMENT": (" Approval ", "approval"),
    "DEPLOYX_PING_INTERVAL": ("1.5", 1.5),
    "DEPLOYX_PING_TIMEOUT": ("7", 7),
    "DEPLOYX_HEARTBEAT_INTERVAL": ("5", 5),
    "DEPLOYX_PRESENCE_GRACE": ("9", 9),
    "DEPLOYX_NODE_LEASE": ("3", 3),
    "DEPLOYX_POLL_INTERVAL": ("0.5", 0.5),
    "DEPLOYX_DRAIN": ("0", 0),
    "DEPLOYX_ANONYMOUS_MAX": ("3", 3),
    "DEPLOYX_STATUS_RETENTION_DAYS": ("4", 4),
    "DEPLOYX_CLAIM_RETENTION_DAYS": ("5", 5),
    "DEPLOYX_ENROLLMENT_TOKEN_RETENTION_DAYS": ("6", 6),
    "DEPLOYX_REFUSED_KEYS_MAX": ("7", 7),
    "DEPLOYX_PENDING_DEVICES_MAX": ("11", 11),
    "DEPLOYX_PENDING_DEVICE_RETENTION_DAYS": ("12", 12),
    "DEPLOYX_AUDIT_RETENTION_DAYS": ("31", 31),
    "DEPLOYX_OUTPUT_QUOTA_BYTES": ("8", 8),
    "DEPLOYX_RUN_RETENTION_DAYS": ("9", 9),
    "DEPLOYX_OUTPUT_RETENTION_DAYS": ("10", 10),
    "DEPLOYX_SCHEDULE_HISTORY_RETENTION_DAYS": ("13", 13),
    "DEPLOYX_OUTPUT_MAX_BYTES": ("2000000", 2_000_000),
    "DEPLOYX_ARTIFACTS_DIR": ("/srv/artifacts", Path("/srv/artifacts")),
    "DEPLOYX_ARTIFACTS_URL": ("s3://deployx/artifacts/", "s3://deployx/artifacts"),
    "DEPLOYX_ARTIFACTS_ENDPOINT": ("https://s3.example.com/", "https://s3.example.com"),
    "DEPLOYX_ARTIFACTS_REGION": ("eu-central-1", "eu-central-1"),
    "DEPLOYX_ARTIFACTS_ACCESS_KEY": ("who", "who"),
    "DEPLOYX_ARTIFACTS_SECRET_KEY": ("correct horse", SecretStr("correct horse")),
    "DEPLOYX_ARTIFACTS_REDIRECT": ("0", False),
    "DEPLOYX_ARTIFACTS_ACCEL": ("/artifacts/", "/artifacts/"),
    "DEPLOYX_ARTIFACTS_MAX_BYTES": ("14", 14),
    "DEPLOYX_ARTIFACTS_USER_MAX_BYTES": ("15", 15),
    "DEPLOYX_ARTIFACT_RETENTION_DAYS": ("16", 16),
    "DEPLOYX_ARTIFACT_SEND_RATE": ("17", 17),
    "DEPLOYX_UPLOAD_LIFETIME": ("600", 600),
    "DEPLOYX_UPLOADS_MAX": ("18", 18),
    "DEPLOYX_DOWNLOADS_MAX": ("19", 19),
    "DEPLOYX_ADMIN_EMAIL": ("ada@example.test", "ada@example.test"),
    "DEPLOYX_ADMIN_PASSWORD": ("correct horse battery", SecretStr("correct horse battery")),
    "DEPLOYX_SESSION_LIFETIME": ("600", 600),
    "DEPLOYX_SECRET_KEY": ("0123456789abcdef" * 4, SecretStr("0123456789abcdef" * 4)),
    "DEPLOYX_CONFIRM_ABOVE": ("0", 0),
    "DEPLOYX_APPROVE_ABOVE": ("20", 20),
    "DEPLOYX_DEPLOYMENT_RETENTION_DAYS": ("30", 30),
    "DEPLOYX_LOG_FORMAT": ("JSON", "json"),
    "DEPLOYX_LOG_LEVEL": ("Debug", "debug"),
}


def test_the_specifications_values() -> None:
    assert (main.PING_INTERVAL, main.PING_TIMEOUT) == (25, 60)
    assert "http://localhost:5173" in main.CORS_ORIGINS
    loaded = settings.load()
    assert (loaded.ping_interval, loaded.ping_timeout, loaded.cors_origins) == (25, 60, main.CORS_ORIGINS)
    assert loaded.heartbeat_interval_s == 30


def test_every_variable_is_documented_with_its_default() -> None:
    told, known = documented(), fields()
    assert set(told) == set(known) == set(CHANGED)
    loaded = settings.load()
    for variable, name in known.items():
        if variable != "DEPLOYX_DATABASE_URL":
            assert told[variable] == as_text(getattr(loaded, name)), variable
    assert loaded.database_url == f"sqlite+aiosqlite:///{Path('.deployx').absolute() / 'deployx.db'}"


def test_every_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, (text, _) in CHANGED.items():
        monkeypatch.setenv(variable, text)
    loaded = settings.load()
    for variable, name in fields().items():
        assert getattr(loaded, name) == CHANGED[variable][1], variable


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = settings.load()
    for variable in CHANGED:
        monkeypatch.setenv(variable, "")
    assert settings.load() == usual


@pytest.mark.parametrize("variable", ["DEPLOYX_DATABASE_URL", "DEPLOYX_ADMIN_PASSWORD", "DEPLOYX_SECRET_KEY"])
def test_a_secret_may_stand_in_a_file(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text, value = CHANGED[variable]
    monkeypatch.setenv("DEPLOYX_ADMIN_EMAIL", "ada@example.test")
    monkeypatch.setenv("DEPLOYX_ADMIN_PASSWORD", "some other password")
    monkeypatch.delenv(variable, raising=False)
    file = tmp_path / "secret"
    file.write_text(f"{text}\r\n")
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    loaded = settings.load()
    assert getattr(loaded, fields()[variable]) == value
    assert "correct horse" not in repr(loaded)
    assert "a:b@c" not in repr(loaded)
    monkeypatch.setenv(variable, CHANGED[variable][0].replace("horse", "mule").replace("//a", "//z").replace("0", "1"))
    assert getattr(settings.load(), fields()[variable]) != value  # the variable itself comes first


UNUSABLE = [
    ("DEPLOYX_PORT", "65536"),
    ("DEPLOYX_PORT", "-1"),
    ("DEPLOYX_PUBLIC_URL", "deployx.example.com"),
    ("DEPLOYX_PUBLIC_URL", "ftp://deployx.example.com"),
    ("DEPLOYX_PUBLIC_URL", "https://example.com/deployx"),
    ("DEPLOYX_PUBLIC_URL", "https://deployx.example.com,https://example.com?x"),
    ("DEPLOYX_CORS_ORIGINS", "*"),
    ("DEPLOYX_CORS_ORIGINS", "https://example.com/page"),
    ("DEPLOYX_CORS_ORIGINS", "null"),
    ("DEPLOYX_TRUSTED_PROXIES", "*"),
    ("DEPLOYX_TRUSTED_PROXIES", "proxy.example.com"),
    ("DEPLOYX_ENROLLMENT", "open"),
    ("DEPLOYX_PING_INTERVAL", "0"),
    ("DEPLOYX_PING_TIMEOUT", "nan"),
    ("DEPLOYX_PING_TIMEOUT", "inf"),
    ("DEPLOYX_HEARTBEAT_INTERVAL", "-1"),
    ("DEPLOYX_ANONYMOUS_MAX", "0"),
    ("DEPLOYX_SESSION_LIFETIME", "1"),
    ("DEPLOYX_STATUS_RETENTION_DAYS", "0"),
    ("DEPLOYX_CLAIM_RETENTION_DAYS", "0"),
    ("DEPLOYX_ENROLLMENT_TOKEN_RETENTION_DAYS", "-1"),
    ("DEPLOYX_REFUSED_KEYS_MAX", "0"),
    ("DEPLOYX_PENDING_DEVICES_MAX", "0"),
    ("DEPLOYX_PENDING_DEVICE_RETENTION_DAYS", "0"),
    ("DEPLOYX_DATABASE_URL", "mysql://a:hunter2@b/c"),
    ("DEPLOYX_DATABASE_URL", "postgresql://a:hunter2@b:port/c"),
    ("DEPLOYX_DATABASE_URL", "postgresql://a:hunter2@b:1,c:port/d"),
    ("DEPLOYX_DATABASE_URL", "nonsense"),
    ("DEPLOYX_ADMIN_EMAIL", "nobody"),
    ("DEPLOYX_ADMIN_PASSWORD", "hunter2"),
    ("DEPLOYX_SECRET_KEY", "hunter2"),
    ("DEPLOYX_ARTIFACTS_URL", "https://bucket"),
    ("DEPLOYX_ARTIFACTS_URL", "s3://Bucket"),
    ("DEPLOYX_ARTIFACTS_ENDPOINT", "s3.example.com"),
    ("DEPLOYX_ARTIFACTS_ACCEL", "artifacts"),
    ("DEPLOYX_ARTIFACTS_MAX_BYTES", "0"),
    ("DEPLOYX_ARTIFACT_SEND_RATE", "-1"),
    ("DEPLOYX_UPLOADS_MAX", "0"),
    ("DEPLOYX_CONFIRM_ABOVE", "-1"),
    ("DEPLOYX_LOG_FORMAT", "xml"),
]


@pytest.mark.parametrize(("variable", "text"), UNUSABLE)
def test_what_cannot_be_used_is_named(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(UnusableSettings) as refused:
        settings.load()
    [problem] = refused.value.problems
    assert problem.startswith(f"{variable}: ")
    assert problem.endswith(".")
    assert "\n" not in problem
    assert "hunter2" not in problem


def test_every_variable_is_known_to_the_other_programs() -> None:
    assert settings.known_variables() == SERVER


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYX_PORT", "9000")
    monkeypatch.setenv("DEPLOYX_RECONNECT_DELAY", "9")  # the agent's
    assert settings.misspelt_variables() == []
    monkeypatch.setenv("DEPLOYX_HOTS", "::")
    [sentence] = settings.misspelt_variables()
    assert "DEPLOYX_HOTS" in sentence
    assert "DEPLOYX_HOST?" in sentence


def test_which_addresses_agents_may_dial() -> None:
    assert Settings(port=8000).allowed_origins() == [
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://[::1]:8000",
    ]
    assert Settings(host="0.0.0.0").allowed_origins() == []
    assert Settings(host="0.0.0.0", public_url=["https://a.example"]).allowed_origins() == ["https://a.example"]
    assert Settings(host="127.0.0.1", public_url=["https://a.example"]).allowed_origins() == ["https://a.example"]
