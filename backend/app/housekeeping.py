"""What is done once in a while: a sample of presence each minute, and once an hour what has outlived its retention."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from app.devices.statistics import StatisticsService
from app.errors import Unavailable

log = structlog.get_logger()

SAMPLE_S = 20.0
"""More often than once a minute, so that no minute is missed; a minute is recorded once."""
PRUNE_S = 3600.0
FIRST_PRUNE_S = 60.0
"""After its start a server has its agents to take back, and nothing is so old that it cannot wait for that."""


class Housekeeping:
    """Runs until cancelled. A database that is away is asked again at the next turn."""

    def __init__(self, statistics: StatisticsService, prunings: Sequence[Callable[[], Awaitable[object]]]) -> None:
        self._statistics = statistics
        self._prunings = prunings

    async def run(self) -> None:
        """Sample and prune."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(SAMPLE_S, self._statistics.sample, "sample"))
            await asyncio.sleep(FIRST_PRUNE_S)
            group.create_task(self._every(PRUNE_S, self._prune, "prune"))

    async def _every(self, interval_s: float, step: Callable[[], Awaitable[None]], name: str) -> None:
        while True:
            try:
                await step()
            except Unavailable:
                log.warning("housekeeping.postponed", step=name)
            await asyncio.sleep(interval_s)

    async def _prune(self) -> None:
        for prune in self._prunings:
            await prune()
