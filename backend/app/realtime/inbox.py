"""What agents say of their tasks, on its way to the database: it waits in memory and is committed in groups.

Invariants: nothing is answered before it is committed. What waits is bounded, for each device and in all; beyond that
nothing is taken, and the agent, which hears no acknowledgement, says it again. While the database is away all of it
waits. An item whose own data cannot be saved is logged and fails alone.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from app.errors import Unavailable
from app.realtime import groupcommit
from app.tasks.reports import Printed, Reported, Saved

log = structlog.get_logger()

ITEMS_MAX = 200
BATCH_MAX_BYTES = 4 << 20
DEVICE_MAX_BYTES = 8 << 20
WAITING_MAX_BYTES = 48 << 20
FOR_REPORTS_BYTES = 4 << 20
"""What reports may take beyond either limit: output never keeps out the word that a task is over."""
RETRY_S = 0.5
_ITEM_BYTES = 400
"""What an item takes besides the bytes of its output, roughly."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One item. ``answer`` is called once, after its commit; None says that it cannot be saved."""

    item: Reported | Printed
    bytes: int
    answer: Callable[[Saved | None], None]


Save = Callable[[Sequence[Reported | Printed]], Awaitable[list[Saved]]]


class Inbox:
    """``committed`` is called after the answers of each batch."""

    def __init__(self, save: Save, committed: Callable[[], Awaitable[None]]) -> None:
        self._save = save
        self._committed = committed
        self._waiting: deque[Waiting] = deque()
        self._by_device: Counter[int] = Counter()
        self._bytes = 0
        self._work = asyncio.Event()

    def take(self, item: Reported | Printed, answer: Callable[[Saved | None], None]) -> bool:
        """Let ``item`` wait for its commit; False if there is no room for it now."""
        size = _size(item)
        beyond = FOR_REPORTS_BYTES if isinstance(item, Reported) else 0
        theirs = self._by_device.get(item.device_id, 0)
        if self._bytes + size > WAITING_MAX_BYTES + beyond or theirs + size > DEVICE_MAX_BYTES + beyond:
            return False
        self._waiting.append(Waiting(item, size, answer))
        self._by_device[item.device_id] += size
        self._bytes += size
        self._work.set()
        return True

    async def run(self) -> None:
        """Commit what waits, until cancelled."""
        away = False
        while True:
            await self._work.wait()
            batch = self._next()
            try:
                results = await groupcommit.commit(batch, self._write)
            except Unavailable as error:
                if not away:
                    log.error(
                        "tasks.reports_wait", waiting=len(self._waiting), cause=str(error.__cause__ or error)[:300]
                    )
                away = True
                await asyncio.sleep(RETRY_S)
                continue
            away = False
            for waiting, result in zip(batch, results, strict=True):
                self._done(waiting, result)
            await self._committed()

    def _next(self) -> list[Waiting]:
        """The oldest that go together into one transaction; they go on waiting until they are answered."""
        batch: list[Waiting] = []
        size = 0
        for waiting in self._waiting:
            size += waiting.bytes
            if batch and (len(batch) >= ITEMS_MAX or size > BATCH_MAX_BYTES):
                break
            batch.append(waiting)
        return batch

    async def _write(self, batch: Sequence[Waiting]) -> list[Saved]:
        return await self._save([waiting.item for waiting in batch])

    def _done(self, waiting: Waiting, result: Saved | Exception) -> None:
        first = self._waiting.popleft()
        assert first is waiting
        self._bytes -= waiting.bytes
        self._by_device[waiting.item.device_id] -= waiting.bytes
        if not self._by_device[waiting.item.device_id]:
            del self._by_device[waiting.item.device_id]
        if not self._waiting:
            self._work.clear()
        if isinstance(result, Exception):
            log.error(
                "task.unsaved",
                device_id=waiting.item.device_id,
                task_ids=sorted(waiting.item.task_ids),
                exc_info=result,
            )
        waiting.answer(None if isinstance(result, Exception) else result)


def _size(item: Reported | Printed) -> int:
    if isinstance(item, Reported):
        return _ITEM_BYTES * (1 + len(item.updates))
    return sum(_ITEM_BYTES + len(frame.data) for frame in item.frames) + _ITEM_BYTES
