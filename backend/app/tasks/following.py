"""Waiting for a run to change, so that whoever follows it need not ask again and again.

Invariant: a change of a task's state is never slept through, because ``rev`` tells it. Output that comes while nobody
waits is told by the next change, or by the poll of whoever follows. What happens within ``GATHER_S`` is told together:
a run of many devices changes with every batch, and each answer costs more than a batch does. That a run is over is told
at once.
"""

import asyncio
from typing import Any

from app.accounts.principal import Principal
from app.tasks.news import POLL_S, TaskNews, Waiter
from app.tasks.reading import WorkReader
from deployx_protocol.task_messages import RunView

GATHER_S = 0.1


class RunFollower:
    """Reads runs for those who wait for them."""

    def __init__(self, reader: WorkReader, news: TaskNews) -> None:
        self._reader = reader
        self._news = news

    async def detail(
        self, principal: Principal, run_id: str, *, after_rev: int, wait_s: float
    ) -> tuple[RunView, dict[str, Any]]:
        """The run as ``WorkReader.detail`` gives it, as soon as its ``rev`` is beyond ``after_rev``, it is over, one of
        its tasks printed something, or ``wait_s`` are over. Raises NotFound."""
        if wait_s > 0:
            with self._news.of(run_id) as waiter:
                await self._wait(principal, run_id, after_rev, wait_s, waiter)
        return await self._reader.detail(principal, run_id)

    async def _wait(self, principal: Principal, run_id: str, after_rev: int, wait_s: float, waiter: Waiter) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while not self._news.closed:
            waiter.changed.clear()
            rev, is_over = await self._reader.pulse(principal, run_id)
            if is_over or (after_rev == 0 and rev > 0):
                return  # who names no `rev` has not seen it yet
            left_s = deadline - loop.time()
            if left_s <= 0:
                return
            if rev > after_rev or await waiter.wait(waiter.changed, min(left_s, POLL_S)):
                await waiter.wait(waiter.over, min(GATHER_S, max(0.0, deadline - loop.time())))
                return
