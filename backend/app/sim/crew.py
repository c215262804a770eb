"""A process of simulated agents: `python -m app.sim.crew`, started and told what to do by ``crews``.

It reads one JSON line after another on stdin (``Spec`` first, then ``Order``s) and answers each with one on stdout.
When stdin ends, so does it, however its parent went.
"""

import asyncio
import gc
import random
import sys
from enum import StrEnum
from typing import Any

import msgspec

from app.sim.agent import Agent
from app.sim.chaos import plague
from app.sim.http import AgentHttp
from app.sim.machine import Machine
from app.sim.plants import Plant
from app.sim.witness import Report, Witness

LINE_MAX_BYTES = 1 << 30


class Spec(msgspec.Struct, kw_only=True):
    """Which agents, and how they live."""

    origin: str
    token: str
    seed: str
    first: int
    count: int
    at_once: int
    """How many of them may be connecting at a time."""
    mishap_every_s: float
    """How long one of them is left alone, on average; 0: always."""
    plant: Plant | None = None


class Do(StrEnum):
    """What a crew can be asked for; each is answered when it is done."""

    GATHER = "gather"  # wait until each has registered once, or was refused
    SETTLE = "settle"  # no more mishaps; wait until all are connected
    FINISH_SPEAKING = "finish_speaking"  # wait until the server has acknowledged all that they said
    DEPART = "depart"  # let a share of them go for good
    REPORT = "report"  # say what they saw


class Order(msgspec.Struct, kw_only=True):
    """One of these."""

    do: Do
    within_s: float = 60.0
    share: float = 0.0


class Crew:
    """The agents of this process."""

    def __init__(self, spec: Spec) -> None:
        self._witness = Witness()
        turn = asyncio.Semaphore(spec.at_once)
        self._http = AgentHttp(spec.origin)
        self._dice = random.Random(f"{spec.seed}:{spec.first}:crew")  # noqa: S311 - a simulation that can be repeated
        self._agents = [
            Agent(
                Machine.make(spec.seed, number),
                spec.origin,
                spec.token,
                http=self._http,
                witness=self._witness,
                turn=turn,
                dice=random.Random(f"{spec.seed}:{number}:agent"),  # noqa: S311
                plant=spec.plant,
            )
            for number in range(spec.first, spec.first + spec.count)
        ]
        self._mishap_every_s = spec.mishap_every_s
        self._plagues: list[asyncio.Task[None]] = []

    async def follow(self, reader: asyncio.StreamReader) -> None:
        """Live, and do what is asked, until nobody asks any more."""
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(agent.run()) for agent in self._agents]
            while line := await reader.readline():
                await self._do(msgspec.json.decode(line, type=Order))
            for task in (*self._plagues, *lives):
                task.cancel()
        await self._http.close()

    async def _do(self, order: Order) -> None:
        match order.do:
            case Do.GATHER:
                await _within(order.within_s, *(agent.registered.wait() for agent in self._agents))
                self._begin_chaos()
                refused = [reason for agent in self._agents for reason in agent.seen.refused]
                _say({"registered": sum(agent.seen.connected for agent in self._agents), "refused": refused[:1]})
            case Do.SETTLE:
                for task in self._plagues:
                    task.cancel()
                for agent in self._agents:
                    agent.close_left_open()
                await _within(order.within_s, *(agent.connected.wait() for agent in self._agents))
                _say({})
            case Do.FINISH_SPEAKING:
                await _within(order.within_s, *(agent.work.outbox.acknowledged.wait() for agent in self._agents))
                _say({})
            case Do.DEPART:
                leaving = self._dice.sample(self._agents, round(len(self._agents) * order.share))
                await asyncio.gather(*(agent.leave(politely=self._dice.random() < 0.5) for agent in leaving))
                _say({})
            case Do.REPORT:
                _say(self._witness.report())

    def _begin_chaos(self) -> None:
        if not self._mishap_every_s:
            return
        for agent in self._agents:
            dice = random.Random(f"{agent.machine.machine_id}:chaos")  # noqa: S311
            self._plagues.append(asyncio.ensure_future(plague(agent, dice, self._witness, self._mishap_every_s)))


async def _within(seconds: float, *waits: Any) -> None:
    """Until all have come true or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*waits)
    except TimeoutError:
        pass


def _say(answer: dict[str, Any] | Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """Read the spec, then the orders."""
    reader = asyncio.StreamReader(limit=LINE_MAX_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    crew = Crew(msgspec.json.decode(await reader.readline(), type=Spec))
    gc.freeze()
    await crew.follow(reader)


if __name__ == "__main__":
    asyncio.run(main())
