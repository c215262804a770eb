"""The files in `deploy/`, read by us and, where it is installed, by the program that they are for."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import wheels
from app.commands import commands
from app.serve import CLOSE_S, DRAIN_S
from app.settings import Settings, known_variables
from deployx_protocol import limits, software
from deployx_protocol.variables import PREFIX
from documents.source import ROOT

UNITS = [ROOT / "deploy" / name for name in ("deployx-server.service", "deployx-server@.service")]
COMPOSE = ROOT / "deploy" / "compose.yaml"
IMAGE = ROOT / "deploy" / "Dockerfile"
ENVIRONMENT = ROOT / "deploy" / "server.env"
NGINX = ROOT / "deploy" / "nginx.conf"
COMPOSE_KEYS = {
    *("build", "command", "depends_on", "environment", "healthcheck", "image", "ports", "restart", "secrets"),
    *("stop_grace_period", "volumes"),
}


def _unit(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_unit_starts_the_server_and_leaves_it_time_to_say_goodbye(path: Path, tmp_path: Path) -> None:
    unit = _unit(path)
    program, command = unit["ExecStart"][0].rsplit("/", 1)[1].split()
    assert program == "deployx-server"
    assert command in {known.name for known in commands.registered_commands}
    assert unit["KillSignal"] == ["SIGTERM"]
    assert int(unit["TimeoutStopSec"][0]) > DRAIN_S + Settings().drain_s + CLOSE_S
    port = ["DEPLOYX_PORT=%i"] if "@" in path.name else []
    assert unit["Environment"] == ["DEPLOYX_DATA_DIR=/var/lib/deployx", *port]
    assert unit["StateDirectory"] == ["deployx"]
    assert unit["NoNewPrivileges"] == ["yes"]
    if shutil.which("systemd-analyze"):
        _ask_systemd(path, tmp_path)


def _ask_systemd(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name.replace("@.", "@8000.")
    copy.write_text(path.read_text().replace("/opt/deployx/bin/deployx-server", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], check=False, capture_output=True, text=True, timeout=60
    )
    assert copy.name not in verified.stderr
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


def test_several_servers_differ_from_one_by_their_name_alone() -> None:
    one, several = ({name: _unit(path)[name] for name in _unit(path)} for path in UNITS)
    differing = {name for name in one.keys() | several.keys() if one.get(name) != several.get(name)}
    assert differing == {"Description", "Environment"}


def test_compose_starts_servers_with_settings_that_can_be_used() -> None:
    found = yaml.safe_load(COMPOSE.read_text())
    server = found["services"]["server"]
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in server["environment"].items()
        if not name.endswith("_FILE")
    }
    loaded = Settings(**values, database_url="postgresql://deployx:secret@database/deployx")
    assert loaded.allowed_origins() == ["https://deployx.example.com"]
    grace_s = int(server["stop_grace_period"].removesuffix("s"))
    assert grace_s > DRAIN_S + loaded.drain_s + CLOSE_S
    files = {name.rpartition("/")[2] for name in server["environment"].values() if name.startswith("/run/secrets/")}
    assert files == set(server["secrets"]) <= set(found["secrets"])
    known = {f"{PREFIX}{name}" for name in known_variables()}
    assert set(server["environment"]) <= known
    assert set(found["volumes"]) == {"database", "data"}
    for service in found["services"].values():
        assert set(service) <= COMPOSE_KEYS
        assert set(service.get("secrets", [])) <= set(found["secrets"])
        assert set(service.get("depends_on", [])) <= set(found["services"])
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in found["volumes"] or source in ("./nginx.conf", "./tls")


def test_the_nginx_of_compose_asks_all_containers(tmp_path: Path) -> None:
    shell, option, line = yaml.safe_load(COMPOSE.read_text())["services"]["nginx"]["command"]
    line = line.replace("/etc/nginx/templates/deployx.conf.in", str(NGINX)).replace("/etc/nginx/conf.d", str(tmp_path))
    assert line.endswith("&& exec nginx -g 'daemon off;'")
    subprocess.run([shell, option, line.partition(" && ")[0]], check=True, timeout=60)
    made, shipped = ((path / "default.conf" if path is tmp_path else NGINX).read_text() for path in (tmp_path, NGINX))
    assert made.startswith("resolver 127.0.0.11 ")
    upstream = re.search(r"upstream deployx \{(.*?)\n\}", made, re.DOTALL)
    assert upstream is not None
    assert re.findall(r"^ *(server .*|zone .*);", upstream[1], re.MULTILINE) == [
        "zone deployx 64k",
        "server server:8000 resolve max_fails=1 fail_timeout=5s",
    ]
    assert made.partition("server {")[2] == shipped.partition("server {")[2]


def test_the_image_is_made_of_what_make_wheels_leaves() -> None:
    image = dict(re.findall(r"^([A-Z]+) ((?:.*\\\n)*.*)", IMAGE.read_text(), re.MULTILINE))
    source, target = image["COPY"].split()
    assert Path(source) == wheels.DIST.relative_to(ROOT) / "server"
    made = {file.name for file in wheels.KINDS["server"][1]} | {"*.whl"}
    used = set(re.findall(rf"{target}(\S+)", image["RUN"]))
    assert used == {"run.txt", "*.whl"} <= made
    assert "--require-hashes" in image["RUN"]
    ignored = IMAGE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert [line for line in ignored if not line.startswith("#")] == ["*", "!dist/server"]
    assert json.loads(image["ENTRYPOINT"]) == ["/opt/deployx/bin/deployx-server"]
    assert set(json.loads(image["CMD"])) <= {known.name for known in commands.registered_commands}
    environment = dict(pair.split("=") for pair in image["ENV"].split())
    assert set(environment) <= {f"{PREFIX}{name}" for name in known_variables()}
    assert environment["DEPLOYX_DATA_DIR"] == image["WORKDIR"]


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
    size = re.search(r"^    client_max_body_size (\d+)m;", text, re.MULTILINE)
    assert size is not None
    assert int(size[1]) << 20 > max(limits.OUTPUT_POST_MAX_BYTES, software.POST_MAX_BYTES)
    assert "proxy_next_upstream error timeout http_503;" in text
    assert "non_idempotent" not in text, "what changes something is never asked twice"
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
