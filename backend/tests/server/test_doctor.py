"""`deployx-server doctor`: what it finds on a deployment, and that it changes nothing."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app import doctor
from app.accounts.sealing import KEY_FILE
from app.doctor import DatabaseFacts, Finding, Verdict
from app.settings import Settings
from tests.support.server import PASSWORD

WELL = DatabaseFacts(administrators=1)
SECURE: dict[str, Any] = {"public_url": ["https://deployx.example.com"], "trusted_proxies": ["127.0.0.1"]}


def bad(findings: Iterable[Finding], verdict: Verdict = Verdict.BAD) -> list[str]:
    """What is not good; each says how to mend it."""
    found = list(findings)
    assert all(bool(one.mend) is (one.verdict is not Verdict.GOOD) for one in found)
    return [one.what for one in found if one.verdict is verdict]


@pytest.mark.parametrize(
    ("values", "verdict", "says"),
    [
        ({}, Verdict.DOUBTFUL, "Only this machine"),
        ({"host": "0.0.0.0"}, Verdict.BAD, "do not know under which address"),
        ({"public_url": ["http://10.0.0.1:8000"]}, Verdict.BAD, "in the clear"),
        ({**SECURE, "host": "0.0.0.0"}, Verdict.DOUBTFUL, "plain http on 0.0.0.0"),
        ({**SECURE, "tls_certificate": "/no", "tls_key": "/no"}, Verdict.BAD, "certificate cannot be used"),
        ({**SECURE, "cors_origins": ["http://other.example.com"]}, Verdict.DOUBTFUL, "can be forged"),
    ],
)
def test_reach(values: Any, verdict: Verdict, says: str) -> None:
    assert any(says in what for what in bad(doctor.reach(Settings(**values)), verdict))


def test_a_deployment_behind_nginx_is_well() -> None:
    settings = Settings(**SECURE)
    assert bad([*doctor.reach(settings), *doctor.proxies(settings)]) == []
    assert bad(doctor.reach(settings), Verdict.DOUBTFUL) == []


@pytest.mark.parametrize(
    ("proxies", "says"),
    [(["0.0.0.0/0"], "pretend"), (["::/0"], "pretend"), ([], "nobody can sign in")],
)
def test_proxies(proxies: list[str], says: str) -> None:
    settings = Settings(public_url=["https://deployx.example.com"], trusted_proxies=proxies)
    assert says in bad(doctor.proxies(settings))[0]


def test_secrets(tmp_path: Path) -> None:
    secret = tmp_path / "database-url"
    secret.write_text("postgresql://a:b@c/d")
    secret.chmod(0o644)
    environ = {"DEPLOYX_DATABASE_URL_FILE": str(secret)}
    assert "open to other users (mode 0644)" in bad(doctor.secrets(Settings(), environ, WELL))[0]
    secret.chmod(0o600)
    assert bad(doctor.secrets(Settings(), environ, WELL)) == []
    secret.unlink()
    assert "cannot be read" in bad(doctor.secrets(Settings(), environ, WELL))[0]
    assert bad(doctor.secrets(Settings(), {}, DatabaseFacts())) == ["There is no administrator."]
    left = Settings(admin_email="a@b", admin_password=SecretStr(PASSWORD), session_lifetime_s=90 * 86_400)
    told = " ".join(bad(doctor.secrets(left, {}, WELL), Verdict.DOUBTFUL))
    assert "still in the server's settings" in told
    assert "for 90 days" in told
    shown = Settings(database_url="postgresql://a:b@c/d")
    told = " ".join(bad(doctor.secrets(shown, {"DEPLOYX_DATABASE_URL": "x"}, WELL), Verdict.DOUBTFUL))
    assert "in the environment" in told


def test_the_key_of_what_is_sealed(tmp_path: Path) -> None:
    settings, used = Settings(data_dir=tmp_path), DatabaseFacts(administrators=1, second_factors=2)
    assert "only with recovery codes" in bad(doctor.secrets(settings, {}, used))[0]
    given = Settings(data_dir=tmp_path, secret_key=SecretStr("k" * 32))
    assert bad(doctor.secrets(given, {}, used)) == bad(doctor.secrets(settings, {}, WELL)) == []
    key = tmp_path / KEY_FILE
    key.write_text("k" * 64)
    key.chmod(0o640)
    assert "open to other users (mode 0640)" in bad(doctor.secrets(settings, {}, used))[0]
    key.chmod(0o600)
    assert bad(doctor.secrets(settings, {}, used)) == []


def test_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    assert "open to other users" in bad(doctor.data(Settings(data_dir=tmp_path)))[0]
    tmp_path.chmod(0o700)
    assert bad(doctor.data(Settings(data_dir=tmp_path))) == []
    monkeypatch.setattr(doctor, "DISK_LOW_BYTES", 1 << 60)
    assert "left: when it is full" in bad(doctor.data(Settings(data_dir=tmp_path)))[0]
    assert "not there yet" in bad(doctor.data(Settings(data_dir=tmp_path / "new")), Verdict.DOUBTFUL)[0]


def test_storage() -> None:
    now = datetime.now(UTC)
    assert bad(doctor.storage(WELL, now)) == []
    assert "power cut" in bad(doctor.storage(DatabaseFacts(durable=False), now))[0]
    behind = DatabaseFacts(server_time=now - timedelta(seconds=61))
    assert "61 s apart" in bad(doctor.storage(behind, now))[0]
    assert bad(doctor.storage(DatabaseFacts(problem="It says: no."), now)) == ["The database does not answer."]


async def test_each_database_is_asked(settings: Settings) -> None:
    facts = await doctor.ask_database(settings)
    assert (facts.problem, facts.administrators) == ("", 0)
    assert facts.durable is settings.is_sqlite  # the tests' PostgreSQL trades that for speed, which has to show
    if not settings.is_sqlite:
        assert facts.server_time
        assert abs(facts.server_time - datetime.now(UTC)) < timedelta(seconds=30)


def test_the_command_says_it_in_lines_and_makes_nothing(server: Any) -> None:
    done = server("doctor")
    assert done.returncode == 1
    assert "problem  The database does not answer." in done.stdout
    assert "→ It is made by the server's first start" in done.stdout
    assert done.stderr == ""
    assert not server.data.exists()
    server("create-admin", "ada@example.test", stdin=f"{PASSWORD}\n")
    server.data.chmod(0o700)
    env = {"DEPLOYX_PUBLIC_URL": "https://deployx.example.com", "DEPLOYX_TRUSTED_PROXIES": "127.0.0.1"}
    done = server("doctor", **env)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "ok       Administrators: 1." in done.stdout
    away = server("doctor", DEPLOYX_DATABASE_URL="postgresql://nobody:hunter2hunter2@127.0.0.1:1/x", **env)
    assert away.returncode == 1
    assert "hunter2" not in away.stdout + away.stderr
    assert (os.name != "posix" or os.geteuid() != 0) or "It runs as root" in done.stdout
