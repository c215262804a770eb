"""Ten thousand agents with keys and ten dashboards at one server for ten minutes, with a kill -9 of it in between."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.devices.models import Device
from app.serve import allow_many_connections
from tests.conftest import Operate, StartServer
from tests.support.memory import resident_mib
from tests.support.node import eventually
from tests.support.server_process import Operator, ServerProcess
from whole import dashboards

AGENTS = 10_000
DASHBOARDS = 10
HALF_S = 300.0
BACK_S = 60.0
GROWTH = 0.05
ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def crowd(server: ServerProcess, token: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """All of them, in one process that keeps them there."""
    paths = [str(ROOT), *sys.path]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.keyed_crowd", server.url, str(AGENTS)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "DEPLOYX_TOKEN": token},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,  # how each connection ended when the server was killed
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def all_there(operator: Operator) -> bool:
    """Whether the server says so, and of nobody anything else."""
    try:
        counts: dict[str, Any] = await operator.ask("GET", "/stats")
    except OSError:
        return False
    return (counts["online"], counts["offline"], counts["unknown"]) == (AGENTS, 0, 0)


async def all_back(server: ServerProcess, operator: Operator) -> bool:
    """Whether each has registered once more: until a killed server's lease ends, its rows stay as they were."""
    async with server.db.read() as session:
        first = await session.scalar(sa.select(sa.func.min(Device.session_epoch)))
    return first == 2 and await all_there(operator)


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.timeout(2_400)
async def test_ten_thousand_agents_survive_a_server_that_is_killed(
    database_url: str, start_server: StartServer, operate: Operate
) -> None:
    allow_many_connections()
    server = await start_server(database_url)
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=AGENTS)
    async with crowd(server, token):
        await eventually(lambda: all_there(operator), within_s=300, what="ten thousand new devices")
        before = await watched(server, operator)

        await server.kill()
        await server.start()
        started = time.monotonic()
        await eventually(lambda: all_back(server, operator), within_s=BACK_S, what="the return of each")
        print(f"all were back {time.monotonic() - started:.0f} s after the server")
        after = await watched(server, operator)
        print(f"resident: {before:.0f} MiB before, {after:.0f} MiB after")
    assert abs(after - before) <= GROWTH * before


async def watched(server: ServerProcess, operator: Operator) -> float:
    """Let five minutes pass before ten dashboards, in which nobody goes; the server's resident MiB at their end."""
    looking = await dashboards.opened(server.url, operator.person.token, DASHBOARDS)
    until = time.monotonic() + HALF_S
    while time.monotonic() < until:
        await asyncio.sleep(5)
        assert await all_there(operator)
    found = resident_mib(server.pid)
    dashboards.closed(looking)
    return found
