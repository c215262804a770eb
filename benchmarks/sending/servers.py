"""The servers: ours as it is installed, with an artifact in it, and nginx, before ours and by itself."""

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from footprint import children
from footprint.servers import free_port

BLOCK = 1 << 20
PIECE = 16 << 20
START_S = 120.0
ADMIN = "bench@example.test"
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
user root;
worker_processes auto;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /alone/ {{ alias {files}/; }}
        location /stored-artifacts/ {{ internal; alias {files}/; }}
        location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; }}
    }}
}}
"""


@dataclass(frozen=True)
class Ours:
    """A running server of ours that has one artifact."""

    origin: str
    pid: int
    token: str
    sha256: str
    size: int
    files: Path

    @property
    def path(self) -> str:
        """Of the artifact's bytes."""
        return f"/api/v1/artifacts/{self.sha256}/content"

    @property
    def headers(self) -> dict[str, str]:
        """Of whoever may read it."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def file(self) -> Path:
        """The artifact in the store."""
        [found] = (self.files / self.sha256[:2]).iterdir()
        return found.relative_to(self.files)


@contextlib.asynccontextmanager
async def ours(folder: Path, size: int, *, accel: bool) -> AsyncIterator[Ours]:
    """The server, with an artifact of ``size`` bytes that was uploaded over its API."""
    folder.mkdir(mode=0o700)
    password, port = secrets.token_hex(16), free_port()
    settings = {"data_dir": str(folder), "port": str(port), "admin_email": ADMIN, "admin_password": password}
    settings |= {"artifacts_accel": "/stored-artifacts/"} if accel else {}
    command = (Path(sys.executable).parent / "deployx-server", "serve")
    async with children.running(command, children.environment(**settings), folder) as process:
        await children.said(process, "server.started", START_S)
        drained = asyncio.create_task(children.drained(process))
        origin = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=f"{origin}/api/v1", timeout=START_S) as client:
            token = await _signed_in(client, origin, password)
            client.headers["authorization"] = f"Bearer {token}"
            sha256 = await _uploaded(client, size)
        yield Ours(origin, process.pid, token, sha256, size, folder / "artifacts")
        drained.cancel()


async def _signed_in(client: httpx2.AsyncClient, origin: str, password: str) -> str:
    entered = await client.post("/auth/login", json={"email": ADMIN, "password": password}, headers={"origin": origin})
    entered.raise_for_status()
    cookie = entered.headers["set-cookie"].partition(";")[0]
    made = await client.post("/api-tokens", json={"name": "bench"}, headers={"origin": origin, "cookie": cookie})
    made.raise_for_status()
    return str(made.json()["token"])


async def _uploaded(client: httpx2.AsyncClient, size: int) -> str:
    """Upload noise; its hash."""
    noise = os.urandom(BLOCK)
    digest = hashlib.sha256()
    for at in range(0, size, BLOCK):
        digest.update(noise[: size - at])
    wanted = {"sha256": digest.hexdigest(), "size": size, "name": "noise"}
    answer = await client.post("/artifacts/uploads", json=wanted)
    answer.raise_for_status()
    piece = noise * (PIECE // BLOCK)
    for at in range(0, size, PIECE):
        path, headers = f"/artifacts/uploads/{answer.json()['id']}", {"upload-offset": str(at)}
        (await client.patch(path, content=piece[: size - at], headers=headers)).raise_for_status()
    return digest.hexdigest()


@contextlib.asynccontextmanager
async def nginx(folder: Path, files: Path, behind: str) -> AsyncIterator[tuple[str, int]]:
    """nginx, which serves ``files`` below ``/alone/`` and is before ``behind``: its origin and process."""
    folder.mkdir()
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, files=files, behind=behind.rpartition(":")[2]))
    command = [program(), "-p", str(folder), "-c", str(config)]
    async with children.running(command, children.environment(), folder) as process:
        async with asyncio.timeout(START_S):
            while not _listens(port):
                if process.returncode is not None:
                    raise RuntimeError("nginx did not start")
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process.pid


def program() -> str:
    """Where nginx is; empty when it is not there."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
