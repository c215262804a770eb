"""The protocol's own client, socket.io-client on node, against our server: the connection flow on each transport."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap import node as of_javascript
from tests.support.machines import Machine
from tests.support.node import SETTLE_S, RunningNode, Serve

pytestmark = pytest.mark.databases("sqlite")  # nothing here depends on which it is

SCRIPT = Path(__file__).parent / "seed_client.mjs"
PACKAGE = Path(__file__).parents[3] / "frontend" / "package.json"
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"], None]


class Client:
    """One process of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, node: RunningNode, transports: list[str] | None, machine: Machine
    ) -> AsyncIterator["Client"]:
        """It dials ``node``, and registers ``machine`` when it is connected."""
        process = await asyncio.create_subprocess_exec(
            *("node", SCRIPT, PACKAGE, node.url, json.dumps(transports), json.dumps(machine.seed())),
            env=of_javascript.environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield cls(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def says(self, *expected: str) -> list[Any]:
        """What comes with each of ``expected``, which are what it says next, in any order."""
        found: dict[str, Any] = {}
        assert self._process.stdout is not None
        for _ in expected:
            line = await asyncio.wait_for(self._process.stdout.readline(), SETTLE_S * 2)
            name, *what = json.loads(line)
            found[name] = what[0] if what else None
        assert sorted(found) == sorted(expected)
        return [found[name] for name in expected]

    def leave(self) -> None:
        """Have it disconnect."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"leave\n")


@pytest.mark.parametrize("transports", TRANSPORTS, ids=lambda some: "+".join(some) if some else "default")
async def test_it_walks_the_whole_connection_flow(transports: list[str] | None, serve: Serve) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    async with Client.running(node, transports, machine) as client:
        [sid] = await client.says("connect")
        assert sid
        success, acknowledged = await client.says("registration_success", "acknowledged")
        assert (success["agent_id"], success["trust"]) == (machine.agent_id, "unverified")
        assert acknowledged["ok"]
        pong, acknowledged = await client.says("pong", "acknowledged")
        assert pong["server_time"].endswith("Z")
        assert acknowledged["ok"]
        await node.status(machine.agent_id, "online")
        client.leave()
        assert await client.says("disconnect") == ["io client disconnect"]
        await node.status(machine.agent_id, "offline")


async def test_it_hears_that_a_newer_connection_took_over(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    async with Client.running(node, ["websocket"], machine) as older:
        await older.says("connect")
        await older.says("registration_success", "acknowledged")
        await older.says("pong", "acknowledged")
        async with Client.running(node, ["websocket"], machine) as newer:
            await newer.says("connect")
            await newer.says("registration_success", "acknowledged")
            [ended, reason] = await older.says("session_ended", "disconnect")
            assert ended["code"] == "superseded"
            assert reason in ("transport close", "io server disconnect")
