"""The files in `deploy/`, read by us and, where it is installed, by the program that they are for."""

import re
import shutil
import subprocess
from pathlib import Path

from app.commands import commands
from app.settings import Settings
from deployx_protocol.variables import PREFIX
from documents.source import ROOT

UNIT = ROOT / "deploy" / "deployx-server.service"
ENVIRONMENT = ROOT / "deploy" / "server.env"
NGINX = ROOT / "deploy" / "nginx.conf"


def _unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_starts_the_server_and_leaves_it_time_to_say_goodbye(tmp_path: Path) -> None:
    unit = _unit()
    program, command = unit["ExecStart"][0].rsplit("/", 1)[1].split()
    assert program == "deployx-server"
    assert command in {known.name for known in commands.registered_commands}
    assert unit["KillSignal"] == ["SIGTERM"]
    assert int(unit["TimeoutStopSec"][0]) > 15  # it drains for 10 s at most, then closes for 5 s
    assert unit["Environment"] == ["DEPLOYX_DATA_DIR=/var/lib/deployx"]
    assert unit["StateDirectory"] == ["deployx"]
    assert unit["NoNewPrivileges"] == ["yes"]
    if shutil.which("systemd-analyze"):
        _ask_systemd(tmp_path)


def _ask_systemd(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/deployx/bin/deployx-server", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], check=False, capture_output=True, text=True, timeout=60
    )
    assert UNIT.name not in verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(copy)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert rated.returncode == 0, rated.stdout[-300:]


def test_the_environment_file_has_settings_that_can_be_used() -> None:
    lines = [line.removeprefix("# ") for line in ENVIRONMENT.read_text().splitlines()]
    pairs = [line.split("=", 1) for line in lines if line.startswith(PREFIX)]
    values = {name.removeprefix(PREFIX).lower(): value for name, value in pairs if not name.endswith("_FILE")}
    loaded = Settings(**values)  # type: ignore[arg-type]
    assert loaded.allowed_origins() == ["https://deployx.example.com"]
    assert loaded.trusted_proxies == ["127.0.0.1/32"]


def test_nginx_passes_on_what_the_server_needs(tmp_path: Path) -> None:
    text = NGINX.read_text()
    assert text.count("{") == text.count("}")
    sockets = re.search(r"location ~ (\S+) \{(.*?)\n    \}", text, re.DOTALL)
    assert sockets is not None
    for path in ("/socket.io/", "/ui/socket.io/"):
        assert re.match(sockets[1], path)
    assert not re.match(sockets[1], "/api/v1/devices")
    for wanted in ("Upgrade $http_upgrade", "Connection $connection_upgrade", "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {wanted};" in sockets[2]
    timeout_s = re.search(r"proxy_read_timeout (\d+)s", sockets[2])
    assert timeout_s is not None
    defaults = Settings()
    assert int(timeout_s[1]) > defaults.ping_interval + defaults.ping_timeout
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")
    if nginx:
        _ask_nginx(nginx, tmp_path)


def _ask_nginx(nginx: str, tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    keys = ["-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem")]
    subprocess.run([*command, *keys], check=True, capture_output=True, timeout=60)
    (tmp_path / "site.conf").write_text(NGINX.read_text().replace("/etc/ssl/deployx", str(tmp_path)))
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; include {tmp_path}/site.conf; }}\n"
    )
    done = subprocess.run([nginx, "-t", "-c", str(whole)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
