"""Many agents with keys in one process: `python -m tests.support.keyed_crowd URL COUNT`, the token in DEPLOYX_TOKEN.

They beat every half minute, and whoever loses its connection comes back after a while of its own choosing, for ever. It
prints how many are registered whenever that has changed, at most once a second.
"""

import asyncio
import os
import random
import sys

from whole.agents import Fleet

BEAT_S = 30.0
BACK_WITHIN_S = 20.0
"""Full jitter: each waits for anything between nothing and this before it comes back."""


class Crowd:
    """Keeps ``count`` agents at the server at ``url``."""

    def __init__(self, url: str, count: int, token: str) -> None:
        self._fleet = Fleet(url, count, token)
        self._places = asyncio.Semaphore(150)
        self._there = 0

    async def keep(self) -> None:
        """Until killed."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._say())
            for number in range(len(self._fleet.machines)):
                group.create_task(self._one(number))

    async def _one(self, number: int) -> None:
        machine, wait_s = self._fleet.machines[number], 0.0
        while True:
            await asyncio.sleep(wait_s)
            wait_s = random.uniform(0, BACK_WITHIN_S)
            try:
                async with self._places:
                    agent = await self._fleet.enter(machine)
            except Exception:  # nobody there, or too busy: all that matters is that it comes back
                continue
            self._there += 1
            await asyncio.sleep(random.uniform(0, BEAT_S))
            while not agent.gone.is_set():
                agent.beat()
                try:
                    await asyncio.wait_for(agent.gone.wait(), BEAT_S)
                except TimeoutError:
                    continue
            self._there -= 1

    async def _say(self) -> None:
        said = -1
        while True:
            if said != self._there:
                said = self._there
                print(said, flush=True)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(Crowd(sys.argv[1], int(sys.argv[2]), os.environ["DEPLOYX_TOKEN"]).keep())
