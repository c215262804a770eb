"""Telling the server what is installed: when the agent comes, once a day, and after a release.

A child reads the databases. The server is asked by the hash of the report whether it has it, so that what did not
change costs a hundred bytes, and a server that was restored is told again. Nothing here keeps the agent from anything:
what fails is tried again later.
"""

import asyncio
import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import random
from typing import Any

from deployx_agent.connection.background import in_thread
from deployx_agent.connection.transport import RequestError
from deployx_agent.logs import Log
from deployx_agent.tasks.outbox import Connection
from deployx_agent.update import here

PATH = "/api/agent/v1/software"
DAY_S = 86_400.0
FIRST_S = 30.0
"""Within this after it came, at random: a fleet that returns together does not report together."""
SETTLE_S = 5.0
"""After a release: what it started may go on for a moment."""
AGAIN_S = 600.0
PAUSE_S = 60.0
"""An agent that comes again and again does not read its databases each time."""
COLLECT_S = 180.0
_HASH = 64
_OK, _NOT_FOUND = 200, 404


class Reporter:
    """Reports over whatever connection there is. ``root``: the machine's file system."""

    def __init__(self, root: Path, log: Log, chance: Callable[[], float] = random) -> None:
        self._root = root
        self._log = log
        self._chance = chance
        self._connection: Connection | None = None
        self._due: float | None = None
        self._not_before = 0.0
        self._known = False
        """The server has a report of this process."""
        self._woken = asyncio.Event()

    def linked(self, connection: Connection | None) -> None:
        """The agent is registered over this connection, or over none."""
        self._connection = connection
        if connection and not self._known:  # it may have been accepted since
            self._due = max(_now() + FIRST_S * self._chance(), self._not_before)
        self._woken.set()

    def changed(self) -> None:
        """Something was just installed or removed."""
        self._due = _now() + SETTLE_S
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            if self._connection is None or self._due is None:
                await self._woken.wait()
            elif (left_s := self._due - _now()) > 0:
                await _first(self._woken, left_s)
            else:
                self._not_before = _now() + PAUSE_S
                self._due = _now() + await self._told(self._connection)

    async def _told(self, connection: Connection) -> float:
        """Report; after how many seconds to do so again."""
        daily_s = DAY_S * (0.9 + 0.2 * self._chance())
        try:
            self._known = await self._report(connection)
            return daily_s
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._log.warning("What is installed here could not be read", error=why)
            return daily_s
        except RequestError as error:
            self._log.warning("What is installed here could not be reported", error=error)
            return AGAIN_S * (0.5 + self._chance())

    async def _report(self, connection: Connection) -> bool:
        """Tell the server, unless it knows; whether it knows then. Raises RequestError."""
        said = await in_thread(self._collect, "software")
        sha256, body = said[:_HASH].decode("ascii"), said[_HASH:]
        asked = await _ask(connection, f"{PATH}?sha256={sha256}", b"")
        if asked.get("wanted"):
            told = await _ask(connection, PATH, body)
            self._log.info("Software reported", packages=told.get("packages"), bytes=len(body))
        return "wanted" in asked

    def _collect(self) -> bytes:
        words = here.module("deployx_agent.software.collect", str(self._root), isolated=False)
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": COLLECT_S}
        done = subprocess.run(words, check=False, **options)  # noqa: S603 - this program, and a folder of the settings
        if done.returncode or len(done.stdout) <= _HASH:
            raise OSError(done.stderr.decode(errors="replace").strip()[-200:] or f"exit code {done.returncode}")
        said: bytes = done.stdout
        return said


async def _ask(connection: Connection, path: str, body: bytes) -> dict[str, object]:
    answer = await connection.link.request("POST", path, connection.http_token, body)
    if answer.status == _NOT_FOUND:  # an older server, or one where nobody has accepted this machine
        return {}
    if answer.status != _OK:
        raise RequestError(f"the server answered {answer.status}")
    found = json.loads(answer.body)
    if not isinstance(found, dict):
        raise RequestError("the server's answer makes no sense")
    return found


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _first(woken: asyncio.Event, at_most_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(at_most_s):
            await woken.wait()
