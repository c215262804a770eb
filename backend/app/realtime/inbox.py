"""What agents say of their tasks, on its way to the database: it waits in memory and is committed in groups.

Invariants: nothing is answered before it is committed. What waits is bounded, for each device and in all; beyond that
nothing is taken, and the agent, which hears no acknowledgement, says it again. What is said again while it waits is
not taken a second time: whoever said it is answered with the first. So a server that is late is asked for no more work
by agents that repeat themselves. Devices take turns: one that says much does not keep the others waiting. While the
database is away all of it waits. An item whose own data cannot be saved is logged and fails alone.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass

import structlog

from app.errors import Unavailable
from app.realtime import groupcommit
from app.tasks.reports import Printed, Reported, Saved
from deployx_protocol.task_messages import TaskUpdate

log = structlog.get_logger()

GATHER_S = 0.02
HANDING_OUT_LOOKS = 10
"""For so many times `GATHER_S` what has come waits at most for what is still handed out."""
ITEMS_MAX = 500
TURN_MAX = 8
"""How many items of one device go into a batch before it is the next one's turn."""
BATCH_MAX_BYTES = 4 << 20
DEVICE_MAX_BYTES = 8 << 20
WAITING_MAX_BYTES = 48 << 20
FOR_REPORTS_BYTES = 4 << 20
"""What reports may take beyond either limit: output never keeps out the word that a task is over."""
RETRY_S = 0.5
_ITEM_BYTES = 400
"""What an item takes besides the bytes of its output, roughly."""

Item = Reported | Printed
_New = tuple[Item, list[Hashable]]
"""What is to wait, and its keys."""
Answer = Callable[[Saved | None], None]
"""Called once, after the commit; None says that it cannot be saved."""
Save = Callable[[Sequence[Item]], Awaitable[list[Saved]]]


@dataclass(slots=True, eq=False)
class Waiting:
    """One report, or one message of output, and how to answer each of those who said it."""

    number: int
    """Of two that wait the one with the smaller number came first."""
    item: Item
    keys: Sequence[Hashable]
    """What nobody needs to say again while it waits."""
    bytes: int
    answers: dict[Hashable, Answer]


class Inbox:
    """``saved`` is told of each item that is committed, ``committed`` of each batch, when all in it are answered.

    While more is ``expected`` what has come waits for it, `GATHER_S` at most: a fleet answers one after the other, and
    a commit for each of its devices would cost as much as what they say. The last one waits for nobody. While tasks
    are still ``handed_out`` it waits for that, ten times as long at most: both need the same processor and the same
    database, and who has nothing to do yet goes first."""

    def __init__(
        self,
        save: Save,
        saved: Callable[[Item, Saved], None],
        committed: Callable[[], None],
        expected: Callable[[], bool] = lambda: False,
        handed_out: Callable[[], bool] = lambda: False,
    ) -> None:
        self._save = save
        self._expected = expected
        self._handed_out = handed_out
        self._enough = asyncio.Event()
        self._saved = saved
        self._committed = committed
        self._turns: OrderedDict[int, deque[Waiting]] = OrderedDict()
        """Device id → what waits of it, oldest first; the device whose turn it is first."""
        self._reports: dict[Hashable, Waiting] = {}
        self._frames: dict[Hashable, Waiting] = {}
        self._by_device: Counter[int] = Counter()
        self._bytes = 0
        self._taken = 0
        self._work = asyncio.Event()

    def take(self, item: Item, who: Hashable, answer: Answer) -> bool:
        """Let ``item`` wait for its commit; False if there is no room for it now.

        ``answer`` is called for each part of it that waits by itself: each report, and the last piece of output.
        """
        repeated, new = self._printed(item) if isinstance(item, Printed) else self._reported(item)
        sizes = [_size(one) for one, _ in new]
        size, theirs = sum(sizes), self._by_device.get(item.device_id, 0)
        beyond = FOR_REPORTS_BYTES if isinstance(item, Reported) else 0
        if new and (self._bytes + size > WAITING_MAX_BYTES + beyond or theirs + size > DEVICE_MAX_BYTES + beyond):
            return False
        for waiting in repeated:
            waiting.answers.setdefault(who, answer)
        for (one, keys), its_size in zip(new, sizes, strict=True):
            self._taken += 1
            self._add(Waiting(self._taken, one, keys, its_size, {who: answer}))
        return True

    def _reported(self, item: Reported) -> tuple[list[Waiting], list[_New]]:
        """Of its reports those that wait already, and those that do not."""
        repeated: list[Waiting] = []
        new: list[_New] = []
        for key, update in {_report_key(item.device_id, one): one for one in item.updates}.items():
            waiting = self._reports.get(key)
            if waiting is None:
                new.append((Reported(item.device_id, [update]), [key]))
            else:
                repeated.append(waiting)
        return repeated, new

    def _printed(self, item: Printed) -> tuple[list[Waiting], list[_New]]:
        """What it repeats, if that is all, and otherwise itself without the pieces at its beginning that wait already.

        A piece that waits before those it comes after is not left out: there it follows a gap, and is not stored.
        """
        start, behind, keys = 0, -1, _printed_keys(item)
        for key in keys:
            waiting = self._frames.get(key)
            if waiting is None or waiting.number < behind:
                return [], [(Printed(item.device_id, item.task_id, item.frames[start:]), keys[start:])]
            start, behind, last = start + 1, waiting.number, waiting
        return [last], []

    def _add(self, waiting: Waiting) -> None:
        item = waiting.item
        for key in waiting.keys:
            (self._reports if isinstance(item, Reported) else self._frames)[key] = waiting
        self._turns.setdefault(item.device_id, deque()).append(waiting)
        self._by_device[item.device_id] += waiting.bytes
        self._bytes += waiting.bytes
        self._work.set()
        if len(self._reports) >= ITEMS_MAX or not self._expected():
            self._enough.set()

    async def run(self) -> None:
        """Commit what waits, until cancelled."""
        while True:
            if not self._turns:
                self._work.clear()
            await self._work.wait()
            await self._gather()
            batch = self._next()
            try:
                for result in await self._commit(list(batch)):
                    self._done(batch.popleft(), result)
            finally:
                self._put_back(batch)
            self._committed()

    async def _gather(self) -> None:
        """Let tasks be handed out, and let more come if that is expected."""
        for _ in range(HANDING_OUT_LOOKS):
            if not self._handed_out():
                break
            await asyncio.sleep(GATHER_S)
        if self._expected() and len(self._reports) < ITEMS_MAX:
            self._enough.clear()
            late = asyncio.get_running_loop().call_later(GATHER_S, self._enough.set)
            await self._enough.wait()
            late.cancel()

    async def _commit(self, batch: Sequence[Waiting]) -> list[Saved | Exception]:
        """The result of each; waits until the database is there."""
        away = False
        while True:
            try:
                return await groupcommit.commit(batch, self._write)
            except Unavailable as error:
                if not away:
                    waiting = len(batch) + sum(map(len, self._turns.values()))
                    log.error("tasks.reports_wait", waiting=waiting, cause=str(error.__cause__ or error)[:300])
                away = True
                await asyncio.sleep(RETRY_S)

    async def _write(self, batch: Sequence[Waiting]) -> list[Saved]:
        return await self._save([waiting.item for waiting in batch])

    def _next(self) -> deque[Waiting]:
        """What goes together into one transaction: the oldest of each device, one after the other."""
        batch: deque[Waiting] = deque()
        size = 0
        while self._turns and len(batch) < ITEMS_MAX:
            device_id, theirs = next(iter(self._turns.items()))
            for _ in range(min(TURN_MAX, len(theirs), ITEMS_MAX - len(batch))):
                if batch and size + theirs[0].bytes > BATCH_MAX_BYTES:
                    return batch
                size += theirs[0].bytes
                batch.append(theirs.popleft())
            del self._turns[device_id]
            if theirs:
                self._turns[device_id] = theirs
        return batch

    def _put_back(self, batch: deque[Waiting]) -> None:
        """None of these was answered; what has come of their devices meanwhile comes after them."""
        for waiting in reversed(batch):
            self._turns.setdefault(waiting.item.device_id, deque()).appendleft(waiting)

    def _done(self, waiting: Waiting, result: Saved | Exception) -> None:
        item = waiting.item
        index = self._reports if isinstance(item, Reported) else self._frames
        for key in waiting.keys:
            if index.get(key) is waiting:
                del index[key]
        self._bytes -= waiting.bytes
        self._by_device[item.device_id] -= waiting.bytes
        if not self._by_device[item.device_id]:
            del self._by_device[item.device_id]
        if isinstance(result, Exception):
            log.error("task.unsaved", device_id=item.device_id, task_ids=sorted(item.task_ids), exc_info=result)
        else:
            self._saved(item, result)
        for answer in waiting.answers.values():
            answer(None if isinstance(result, Exception) else result)


def _printed_keys(item: Printed) -> list[Hashable]:
    return [(item.device_id, item.task_id, frame.seq) for frame in item.frames] or [(item.device_id, item.task_id)]


def _report_key(device_id: int, update: TaskUpdate) -> Hashable:
    return device_id, update.task_id, update.state, update.phase, update.percent


def _size(item: Item) -> int:
    if isinstance(item, Reported):
        output = sum(_ITEM_BYTES + len(chunk.data) for update in item.updates for chunk in update.output)
        return _ITEM_BYTES * (1 + len(item.updates)) + output
    return sum(_ITEM_BYTES + len(frame.data) for frame in item.frames) + _ITEM_BYTES
