"""The real server in a process of its own, as an operator would start it, and the people who use it."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa

from app.db import Database
from app.devices.models import Device, StatusEvent
from tests.support import secrets_made
from tests.support.agent_process import environment
from tests.support.node import eventually
from tests.support.postgres import free_port
from tests.support.server import PASSWORD, Person
from tests.support.zygote import Forked, Zygote

ADMIN = "admin@example.test"
DEADLINE_S = 60.0
"""Long: a machine that is busy with other tests is no failure."""
START_S = 300.0
"""Longer still: it takes a second by itself, and what is meant to be slow is never the start."""
_PROGRAM = str(Path(sys.executable).with_name("deployx-server"))


class ServerProcess:
    """``deployx-server serve`` on a port that stays the same, its log, its database. ``db`` is not the server's own."""

    def __init__(self, folder: Path, database_url: str, zygote: Zygote | None = None, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / "server.log"
        self.env = environment(
            folder / "none",
            port=self.port,
            data_dir=folder / "data",
            database_url=database_url,
            admin_email=ADMIN,
            admin_password=PASSWORD,
            **settings,
        )
        self.db = Database(database_url, pool_size=2)
        self._zygote = zygote
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._read_from = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that it wrote, over all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    async def start(self, label: str = "") -> None:
        """Start it, and wait until it answers. With a zygote it may be one that dies at the point ``label``."""
        self._read_from = self.log_file.stat().st_size if self.log_file.exists() else 0
        if self._zygote:
            self._process = await self._zygote.start(self.env, "serve", label=label, log=self.log_file)
        else:
            with self.log_file.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    _PROGRAM, "serve", env=self.env, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
                )
        await eventually(self._has_started, within_s=START_S, what="the server's start")

    def _has_started(self) -> bool:
        assert self._process is not None
        with self.log_file.open("rb") as log:
            log.seek(self._read_from)
            said = log.read().decode(errors="replace")
        if "server.started url=" in said:
            return True
        if self._process.returncode is not None:
            raise AssertionError(f"the server ended with {self._process.returncode}:\n{said}")
        return False

    async def ended(self, within_s: float = DEADLINE_S) -> int:
        """Wait for its end; its exit code."""
        assert self._process is not None
        async with asyncio.timeout(within_s):
            return await self._process.wait()

    async def end(self, number: int) -> int:
        """Send it the signal ``number``; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return await self.ended()

    async def kill(self) -> None:
        """As kill -9 does: nothing is said, nothing is saved."""
        await self.end(signal.SIGKILL)

    async def stop(self) -> int:
        """As a service manager does; the exit code."""
        return await self.end(signal.SIGTERM)

    async def tidy(self) -> None:
        """Leave nothing behind, however the test went."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        leaks = secrets_made.leaks(self.log) + await secrets_made.leaks_of_record(self.db)
        await self.db.close()
        assert not leaks, leaks

    async def command(self, *arguments: str, stdin: str = "") -> str:
        """What ``deployx-server …`` prints, run beside the server as an administrator does."""
        if self._zygote and not stdin:
            forked = await self._zygote.start(self.env, *arguments)
            assert forked.stdout and forked.stderr
            said, wrong = await asyncio.gather(forked.stdout.read(), forked.stderr.read())
            assert await forked.wait() == 0, wrong.decode()
            return said.decode().strip()
        process = await asyncio.create_subprocess_exec(
            _PROGRAM,
            *arguments,
            env=self.env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaint = await process.communicate(stdin.encode())
        assert process.returncode == 0, complaint.decode()
        return output.decode().strip()

    # ------------------------------------------------------------ people

    async def sign_in(self, email: str = ADMIN, password: str = PASSWORD) -> Person:
        """Somebody with a session and an API token."""
        same_site = {"sec-fetch-site": "same-origin"}
        async with httpx2.AsyncClient(base_url=self.url, headers=same_site, timeout=DEADLINE_S) as client:
            answer = await client.post("/api/v1/auth/login", json={"email": email, "password": password})
            assert answer.status_code == 200, answer.text
            name, _, rest = answer.headers["set-cookie"].partition("=")
            cookie = rest.partition(";")[0]
            made = await client.post(
                "/api/v1/api-tokens", json={"name": "tests"}, headers={"cookie": f"{name}={cookie}"}
            )
            assert made.status_code == 201, made.text
            token = secrets_made.keep(made.json()["token"])
            return Person(answer.json()["id"], email, token, secrets_made.keep(cookie))

    # ------------------------------------------------------------ what it says and keeps

    async def rows(self) -> list[Device]:
        """All rows of `devices`, by id."""
        async with self.db.read() as session:
            return list(await session.scalars(sa.select(Device).order_by(Device.id)))

    async def status_events(self, device_id: int) -> list[StatusEvent]:
        """What happened to one device's presence, oldest first."""
        async with self.db.read() as session:
            query = sa.select(StatusEvent).where(StatusEvent.device_id == device_id).order_by(StatusEvent.id)
            return list(await session.scalars(query))


class Operator:
    """What a person does over the REST API."""

    def __init__(self, server: ServerProcess, person: Person) -> None:
        self.server = server
        self.person = person
        self.client = httpx2.AsyncClient(
            base_url=f"{server.url}/api/v1", headers=person.bearer, timeout=DEADLINE_S, trust_env=False
        )

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The answer's JSON; None for an empty one."""
        answer = await self.client.request(method, path, json=body, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def devices(self) -> list[dict[str, Any]]:
        """Every device this person may see (at most 500)."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/devices", params={"limit": 500}))["items"]
        return found

    async def claims(self) -> list[dict[str, Any]]:
        """Identities in conflict."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/claims"))["items"]
        return found

    async def enrollment_token(self, max_uses: int = 1, origin: str | None = None) -> str:
        """A token with which agents enrol as this person's."""
        wanted = {"name": "tests", "max_uses": max_uses, **({"origin": origin} if origin else {})}
        return secrets_made.keep(str((await self.ask("POST", "/enrollment-tokens", wanted))["token"]))

    async def until(
        self, count: int, within_s: float = DEADLINE_S, among: Sequence[dict[str, Any]] | None = None, **fields: Any
    ) -> list[dict[str, Any]]:
        """The devices (of those in ``among``) with these fields, as soon as there are exactly ``count``."""
        found: list[dict[str, Any]] = []
        wanted = None if among is None else {one["id"] for one in among}

        async def are_there() -> bool:
            nonlocal found
            devices = await self.devices()
            devices = [one for one in devices if wanted is None or one["id"] in wanted]
            found = [one for one in devices if all(one[name] == value for name, value in fields.items())]
            return len(found) == count

        try:
            await eventually(are_there, within_s=within_s)
        except AssertionError:
            seen = [
                (one["agent_id"], one["status"], one["trust"], one["status_detail"]) for one in await self.devices()
            ]
            raise AssertionError(f"{len(found)} instead of {count} devices with {fields}: {seen}") from None
        return found
