"""Waiting for a run to change, so that whoever follows it need not ask again and again.

Invariant: a change of a task's state is never slept through, because ``rev`` tells it. Output that comes while nobody
waits is told by the next change, or by the poll of whoever follows.
"""

import asyncio
import contextlib
from typing import Any

from app.accounts.principal import Principal
from app.tasks.news import TaskNews
from app.tasks.reading import WorkReader
from deployx_protocol.task_messages import RunView

POLL_S = 2.0
"""How long a follower trusts that a hint will wake it."""


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
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        with self._news.of(run_id) as changed:
            while True:
                told = changed.is_set()
                changed.clear()
                found = await self._reader.detail(principal, run_id)
                run, left_s = found[0], deadline - loop.time()
                if told or run.rev > after_rev or run.finished_at or left_s <= 0 or self._news.closed:
                    return found
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left_s, POLL_S))
