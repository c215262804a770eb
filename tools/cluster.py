"""`make cluster`: PostgreSQL, two servers and nginx in front of them on this machine, until Ctrl-C or one of them ends.

nginx has the file that is shipped (`deploy/nginx.conf`), with other addresses and without TLS. Everything is in
`.deployx-cluster`, or where `DEPLOYX_DATA_DIR` says, and stays there. Invariant: whatever happens, all four are gone
afterwards: nginx first, PostgreSQL last. A server that is killed is not the end; the other one goes on.
"""

import asyncio
import contextlib
import os
import re
import resource
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import processes
from bootstrap import system
from bootstrap.console import SetupError, complain
from bootstrap.places import BIN, ROOT
from local import terminal
from local.environment import ADMIN
from local.service import Ended, Service
from local.stopping import until_asked

NODES = 2
START_S = 120.0
PATIENCE_S = 60.0
OPEN_FILES = 65_536
NGINX = ROOT / "deploy" / "nginx.conf"
_SERVER = str(BIN / "deployx-server")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where everything is. ``ports``: of nginx, PostgreSQL, and the servers."""

    folder: Path
    port: int
    database_port: int
    node_ports: list[int]
    password: str

    @property
    def url(self) -> str:
        """What people and agents are told."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """The database of the servers."""
        return f"postgresql://postgres@127.0.0.1:{self.database_port}/postgres"


def main() -> int:
    """The exit code: 0 after being asked to stop."""
    folder = Path(os.environ.get("DEPLOYX_DATA_DIR") or ROOT / ".deployx-cluster").absolute()
    try:
        system.ensure_programs({"postgresql": system.postgres, "nginx": system.nginx}, "A cluster needs")
        return asyncio.run(_until_stopped(_prepare(folder)))
    except (Ended, SetupError) as error:
        terminal.explain(error if isinstance(error, Ended) else Ended(str(error)))
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        complain(f"The cluster cannot be started: {error}.")
        return 1
    except KeyboardInterrupt:  # before there is a loop that handles it
        return 0


def _prepare(folder: Path) -> Cluster:
    """The folder with a password, a key and an empty PostgreSQL, if it has none of them yet."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)  # the user `postgres` has a folder of its own in it
    data = folder / "postgres"
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(data, "postgres", "postgres")
        command = [str(_programs() / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        made = subprocess.run(_as_postgres(command), check=False, capture_output=True, text=True, cwd="/")
        if made.returncode:
            raise Ended(f"PostgreSQL could not make its folder in {folder}.", made.stderr)
    port = int(os.environ.get("DEPLOYX_PORT") or 8000)
    database_port, *nodes = _free_ports(1 + NODES)
    return Cluster(folder, port, database_port, nodes, _kept(folder / "admin-password", secrets.token_urlsafe(12)))


def _kept(path: Path, made: str) -> str:
    """What stands in a file that others may not read; ``made`` if there is none."""
    with contextlib.suppress(FileExistsError), open(path, "x", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(made)
    return path.read_text()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def _programs() -> Path:
    """The folder of PostgreSQL's programs, which are there by now."""
    initdb = system.postgres()
    assert initdb
    return initdb.parent


def _as_postgres(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL", *command]


async def _until_stopped(cluster: Cluster) -> int:
    running: list[Service] = []
    failure = await until_asked(processes.stopping(), _work(cluster, running))
    for service in reversed(running):
        await service.end(PATIENCE_S)
    if isinstance(failure, Ended):
        terminal.explain(failure)
        return 1
    if isinstance(failure, BaseException) and not isinstance(failure, asyncio.CancelledError):
        raise failure
    terminal.say("Stopped: nginx, the servers and PostgreSQL have ended.")
    return 0


async def _work(cluster: Cluster, running: list[Service]) -> None:
    """Start everything, say how to get in, and watch. Ends by being cancelled or by raising Ended."""
    terminal.say("Starting PostgreSQL …")
    running.append(await _postgres(cluster))
    await running[-1].says("database system is ready to accept connections", START_S)
    terminal.say(f"Starting {NODES} servers …")
    nodes = []
    for number, port in enumerate(cluster.node_ports):
        log = cluster.folder / f"server-{number}.log"
        nodes.append(await Service.start("server", [_SERVER, "serve"], _settings(cluster, port), log))
        running.append(nodes[-1])
        await nodes[-1].says(r"server\.started url=(\S+)", START_S)
    terminal.say("Starting nginx …")
    running.append(await _nginx(cluster))
    await _answers(cluster, running[-1])
    each = zip(cluster.node_ports, nodes, strict=True)
    servers = ", ".join(f"127.0.0.1:{port} (process {node.process.pid})" for port, node in each)
    terminal.say(
        f"\nDeployX is running at {cluster.url}\n\n  Sign in as    {ADMIN}\n  Password      {cluster.password}\n"
        f"  Servers       {servers}\n  Database      {cluster.database_url}\n  Logs          {cluster.folder}\n\n"
        "End one of the servers with `kill`, and see the other one go on. Ctrl-C ends all."
    )
    others = [service for service in running if service not in nodes]
    waiting = [asyncio.create_task(service.watch()) for service in others]
    await processes.first_of(*waiting, asyncio.create_task(_all_gone(nodes)))


async def _all_gone(nodes: list[Service]) -> None:
    """Tell of each server that ends. Raises Ended with the last."""
    left = len(nodes)
    for ending in asyncio.as_completed([node.process.wait() for node in nodes]):
        code = await ending
        left -= 1
        terminal.say(f"A server has ended (exit code {code}); {left} left.")
    raise Ended("All servers have ended.", nodes[-1].last_lines())


def _settings(cluster: Cluster, port: int) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    return inherited | {
        "DEPLOYX_DATA_DIR": str(cluster.folder / "data"),
        "DEPLOYX_DATABASE_URL": cluster.database_url,
        "DEPLOYX_PORT": str(port),
        "DEPLOYX_PUBLIC_URL": cluster.url,
        "DEPLOYX_TRUSTED_PROXIES": "127.0.0.1",
        "DEPLOYX_ADMIN_EMAIL": ADMIN,
        "DEPLOYX_ADMIN_PASSWORD": cluster.password,
        "DEPLOYX_DRAIN": "10",
    }


async def _postgres(cluster: Cluster) -> Service:
    command = [str(_programs() / "postgres"), "-D", str(cluster.folder / "postgres"), "-p", str(cluster.database_port)]
    for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"):
        command += ["-c", setting]
    return await Service.start("database", _as_postgres(command), os.environ, cluster.folder / "postgres.log")


async def _nginx(cluster: Cluster) -> Service:
    folder = cluster.folder / "nginx"
    folder.mkdir(exist_ok=True)
    whole = folder / "nginx.conf"
    whole.write_text(nginx_conf(folder, NGINX.read_text(), cluster.port, cluster.node_ports))
    command = [str(system.nginx()), "-p", str(folder), "-c", str(whole), "-g", "daemon off;"]
    return await Service.start("nginx", command, os.environ, cluster.folder / "nginx.log")


def nginx_conf(folder: Path, shipped: str, port: int, node_ports: list[int]) -> str:
    """The shipped file as it serves this machine alone: other addresses, and no TLS."""
    servers = "".join(f"    server 127.0.0.1:{node} max_fails=1 fail_timeout=5s;\n" for node in node_ports)
    text = re.sub(r" *(# )?server 127\.0\.0\.1:\d+ .*\n", "", shipped)
    text = text.replace("    least_conn;\n", f"    least_conn;\n{servers}")
    text = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r" *(listen|ssl_\w+|server_name) .*;\n", "", text)
    text = text.replace("server {\n", f"server {{\n    listen 127.0.0.1:{port} reuseport;\n")
    who = "user root;\n" if os.geteuid() == 0 else ""
    places = "".join(
        f"    {name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"{who}worker_processes {len(node_ports)};\nworker_rlimit_nofile {_open_files()};\npid {folder}/pid;\n"
        f"error_log stderr;\nevents {{ worker_connections 32768; }}\n"
        f"http {{\n    access_log off;\n{places}\n{text}}}\n"
    )


def _open_files() -> int:
    """How many files a worker of nginx may have open, within what this machine grants: two for each agent."""
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if granted == resource.RLIM_INFINITY else min(granted, OPEN_FILES)


async def _answers(cluster: Cluster, nginx: Service) -> None:
    """Wait until nginx takes connections. Raises Ended."""
    for _ in range(int(START_S / 0.1)):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", cluster.port)
            writer.close()
            return
        if nginx.process.returncode is not None:
            break
        await asyncio.sleep(0.1)
    raise Ended(f"nginx does not listen on port {cluster.port}.", nginx.last_lines())


if __name__ == "__main__":
    sys.exit(main())
