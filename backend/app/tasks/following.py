"""Waiting for a run to change, so that whoever follows it need not ask again and again.

Invariant: a change of a task's state is never slept through, because ``rev`` tells it. Output that comes while nobody
waits is told by the next change, or by the poll of whoever follows.
"""

from typing import Any

from app.accounts.principal import Principal
from app.tasks.news import TaskNews
from app.tasks.reading import WorkReader
from deployx_protocol.task_messages import RunView


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

        def enough(found: tuple[RunView, dict[str, Any]], told: bool) -> bool:
            return told or found[0].rev > after_rev or found[0].finished_at is not None

        return await self._news.read_until(run_id, wait_s, lambda: self._reader.detail(principal, run_id), enough)
