"""A server that is late, and agents that say everything again and again: it holds no more, and all gets through."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from app.realtime.inbox import Inbox, Waiting
from app.sim import outbox
from app.sim.agent import Agent
from app.sim.http import AgentHttp
from app.sim.machine import Machine
from app.sim.witness import Witness
from app.tasks.reports import Saved
from tests.support.node import RunningNode, eventually
from tests.support.server import Browse, MakePerson

AGENTS = 30
REPEATS = 10
"""How often each agent says all of it again before the database answers."""


class LateDatabase:
    """Saves nothing until it is ``there``; looks at what waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there = asyncio.Event()
        self.offered = 0
        self.waiting_bytes = 0
        take, write = Inbox.take, Inbox._write

        def taking(box: Inbox, *arguments: Any) -> bool:
            taken = take(box, *arguments)
            self.offered += 1
            self.waiting_bytes = box._bytes
            return taken

        async def writing(box: Inbox, batch: Sequence[Waiting]) -> list[Saved]:
            await self.there.wait()
            return await write(box, batch)

        monkeypatch.setattr(Inbox, "take", taking)
        monkeypatch.setattr(Inbox, "_write", writing)


async def test_agents_without_patience_do_not_bury_a_server_that_is_late(
    node: RunningNode, browse: Browse, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "REPEAT_S", 0.1)
    monkeypatch.setattr(outbox, "REPEAT_MAX_S", 0.1)
    late = LateDatabase(monkeypatch)
    client = browse(node, (await person()).bearer)
    body = {"name": "simulated", "max_uses": AGENTS}
    token = (await client.post("/api/v1/enrollment-tokens", json=body)).json()["token"]
    http, witness, turn = AgentHttp(node.url), Witness(), asyncio.Semaphore(10)
    agents = [
        Agent(
            Machine.make("overload", number),
            node.url,
            token,
            http=http,
            witness=witness,
            turn=turn,
            dice=random.Random(number),
        )
        for number in range(AGENTS)
    ]
    lives = [asyncio.create_task(agent.run()) for agent in agents]
    try:
        await asyncio.gather(*(agent.registered.wait() for agent in agents))
        request = {"command": ["echo", "hi"], "targets": {"selector": "*"}}
        run = (await client.post("/api/v1/runs", json=request)).json()
        assert run["total"] == AGENTS
        ended = lambda: len(witness.tasks) == AGENTS and all(seen.state for seen in witness.tasks.values())  # noqa: E731
        await eventually(ended, within_s=30, what="all that is there to say")
        await _said(late, AGENTS * 3)
        waiting = late.waiting_bytes
        await _said(late, AGENTS * REPEATS)
        assert late.waiting_bytes == waiting > 0
        late.there.set()
        async with asyncio.timeout(30):
            await asyncio.gather(*(agent.work.outbox.acknowledged.wait() for agent in agents))
        shown = (await client.get(f"/api/v1/runs/{run['id']}")).json()
        assert (shown["counts"], bool(shown["finished_at"])) == ({"succeeded": AGENTS}, True)
        assert all(seen.starts == 1 and seen.acknowledged_at for seen in witness.tasks.values())
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        await http.close()


async def _said(late: LateDatabase, times: int) -> None:
    """Wait until so much more was said."""
    enough = late.offered + times
    await eventually(lambda: late.offered >= enough, within_s=60, what=f"{times} repeats")
