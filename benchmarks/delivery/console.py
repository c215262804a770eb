"""Somebody who sends `echo hi` to machines and waits until the last result is saved: by REST, by our CLI, by Salt's."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2

from footprint import children

COMMAND = "echo hi"
GIVE_UP_S = 120.0
_WAIT_S = 20.0
_PAGE = 500
_DEPLOYX = Path(sys.executable).parent / "deployx"


class Line:
    """One connection for one request after the other, at little cost: it shares the processor with what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: str) -> None:
        self._reader = reader
        self._writer = writer
        self._fields = fields

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, url: httpx2.URL, token: str) -> AsyncIterator["Line"]:
        """To the server at ``url``, of whoever has this API token."""
        reader, writer = await asyncio.open_connection(url.host, url.port)
        try:
            fields = (
                f"Host: {url.host}:{url.port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            )
            yield cls(reader, writer, fields)
        finally:
            writer.close()

    async def ask(self, method: str, target: str, body: Any = None) -> dict[str, Any]:
        """The answer's JSON object. Raises RuntimeError for any other answer."""
        sent = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\n{self._fields}Content-Length: {len(sent)}\r\n\r\n"
        self._writer.write(head.encode() + sent)
        status, *fields = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
        [length] = [int(field.partition(":")[2]) for field in fields if field.startswith("content-length:")]
        answer = await self._reader.readexactly(length)
        if not status.startswith("http/1.1 2"):
            raise RuntimeError(f"{method} {target}: {status}: {answer.decode()}")
        return dict(json.loads(answer))


class Console:
    """An administrator of one DeployX server, whose process is ``pid``."""

    def __init__(self, url: str, pid: int, client: httpx2.AsyncClient, token: str) -> None:
        self.url = url
        self.pid = pid
        self.token = token
        self._client = client

    @classmethod
    @contextlib.asynccontextmanager
    async def signed_in(cls, url: str, pid: int, email: str, password: str) -> AsyncIterator["Console"]:
        """With an API token of its own."""
        async with httpx2.AsyncClient(base_url=f"{url}/api/v1", timeout=60, trust_env=False) as client:
            page = {"sec-fetch-site": "same-origin"}
            answer = await client.post("/auth/login", json={"email": email, "password": password}, headers=page)
            page["cookie"] = answer.raise_for_status().headers["set-cookie"].partition(";")[0]
            client.cookies.clear()
            answer = await client.post("/api-tokens", json={"name": "benchmark"}, headers=page)
            token = answer.raise_for_status().json()["token"]
            client.headers["authorization"] = f"Bearer {token}"
            yield cls(url, pid, client, token)

    async def enrollment_token(self, uses: int) -> str:
        """One that admits so many machines."""
        answer = await self._client.post("/enrollment-tokens", json={"name": "benchmark", "max_uses": uses})
        return str(answer.raise_for_status().json()["token"])

    async def device_ids(self, count: int) -> list[int]:
        """So many of the devices, which must not be more than are there."""
        found: list[int] = []
        query: dict[str, Any] = {}
        while len(found) < count:
            query["limit"] = min(_PAGE, count - len(found))
            page = (await self._client.get("/devices", params=query)).raise_for_status().json()
            found += [device["id"] for device in page["items"]]
            query["cursor"] = page["next_cursor"]
        return found

    async def started(self, targets: dict[str, Any]) -> dict[str, Any]:
        """A run, as the server answers when it is saved."""
        answer = await self._client.post("/runs", json=_run(targets))
        return dict(answer.raise_for_status().json())

    async def by_rest(self, targets: dict[str, Any], count: int, *, shell: bool = True) -> float:
        """Seconds from the request until the server shows that the last of ``count`` results is saved. As a line for a
        shell, which is what Salt takes it for, or as a program with its words."""
        async with Line.opened(self._client.base_url, self.token) as line:
            began = time.perf_counter()
            run = await line.ask("POST", "/api/v1/runs", _run(targets, shell=shell))
            while not run["finished_at"]:
                if time.perf_counter() > began + GIVE_UP_S:
                    raise RuntimeError(f"the run was not over within {GIVE_UP_S:g} s: {run['counts']}")
                query = f"after_rev={run['rev']}&wait_s={_WAIT_S}"
                run = await line.ask("GET", f"/api/v1/runs/{run['id']}?{query}")
            took_s = time.perf_counter() - began
        if run["counts"] != {"succeeded": count}:
            raise RuntimeError(f"of {count} machines: {run['counts']}")
        return took_s

    async def by_cli(self, count: int) -> float:
        """Seconds of `deployx run --shell 'echo hi' --on '*'` from its start to its end."""
        env = children.environment(url=self.url, token=self.token)
        return await _timed((_DEPLOYX, "run", "--shell", COMMAND, "--on", "*"), count, env)


def _run(targets: dict[str, Any], *, shell: bool = True) -> dict[str, Any]:
    return {"targets": targets, **({"shell": COMMAND} if shell else {"command": COMMAND.split()})}


async def by_salt(programs: Path, configuration: Path, count: int) -> float:
    """Seconds of `salt '*' cmd.run 'echo hi'` from its start to its end."""
    command = (programs / "salt", "-c", configuration, "-t", "60", "--out=txt", "*", "cmd.run", COMMAND)
    return await _timed(command, count, children.environment())


async def _timed(command: Sequence[str | Path], count: int, env: dict[str, str]) -> float:
    """How long ``command`` takes, which prints a line that ends with `hi` for each of ``count`` machines."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(GIVE_UP_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    took_s = time.perf_counter() - began
    answered = sum(line.endswith("hi") for line in out.decode().splitlines())
    if process.returncode or answered != count:
        said = (err or out).decode()[-500:]
        raise RuntimeError(f"{Path(command[0]).name} heard of {answered} machines instead of {count}: {said}")
    return took_s
