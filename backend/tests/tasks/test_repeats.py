"""What is said again while it waits: it costs nothing, all who said it are answered, nothing is left out for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from app.ids import new_id
from app.realtime import inbox
from app.realtime.inbox import Inbox
from app.tasks.reports import Printed, Reported, Saved
from deployx_protocol.frames import Frame
from deployx_protocol.task_messages import OutputSaved, TaskUpdate, UpdateSaved
from deployx_protocol.tasks import TaskState

DEVICES = 50
STATES = (TaskState.ACCEPTED, TaskState.RUNNING, TaskState.SUCCEEDED)
CHUNKS = 12


class Table:
    """Stands for the database: takes reports, and output without gaps; saves while ``open`` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.items: list[Reported | Printed] = []
        self.stored: dict[str, int] = {}

    async def save(self, items: Sequence[Reported | Printed]) -> list[Saved]:
        await self.open.wait()
        self.items += items
        return [self._one(item) for item in items]

    def _one(self, item: Reported | Printed) -> Saved:
        if isinstance(item, Reported):
            return Saved(updates=[UpdateSaved(task_id=one.task_id, state=one.state) for one in item.updates])
        for frame in item.frames:
            if frame.seq == self.stored.get(item.task_id, 0):
                self.stored[item.task_id] = frame.seq + 1
        return Saved(output=[OutputSaved(task_id=item.task_id, next_seq=self.stored.get(item.task_id, 0))])


@contextlib.asynccontextmanager
async def saving(table: Table) -> AsyncIterator[Inbox]:
    box = Inbox(table.save, lambda item, saved: None, lambda: None)
    running = asyncio.create_task(box.run())
    yield box
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def emptied(box: Inbox) -> None:
    async with asyncio.timeout(10):
        while box._bytes:
            await asyncio.sleep(0)


async def test_agents_that_repeat_themselves_are_saved_once_and_answered_once_for_each_connection() -> None:
    table = Table()
    answers: dict[tuple[int, str], list[Saved | None]] = {}
    tasks = {device_id: new_id() for device_id in range(DEVICES)}
    async with saving(table) as box:
        sizes = set()
        for connection in ("first", "second"):
            for _ in range(200):  # no word of it is acknowledged, so they say it again and again
                for device_id, task_id in tasks.items():
                    told = answers.setdefault((device_id, connection), [])
                    updates = [TaskUpdate(task_id=task_id, state=state) for state in STATES]
                    assert box.take(Reported(device_id, updates), connection, told.append)
                    frames = [Frame(seq, 1, b"x") for seq in range(CHUNKS)]
                    assert box.take(Printed(device_id, task_id, frames), connection, told.append)
                await asyncio.sleep(0)
                sizes.add(box._bytes)
        assert len(sizes) == 1
        table.open.set()
        await emptied(box)
    assert len(table.items) == DEVICES * (len(STATES) + 1)
    for (device_id, _), told in answers.items():
        saved = [(one.task_id, one.state) for answer in told if answer for one in answer.updates]
        assert saved == [(tasks[device_id], state) for state in STATES]
        assert [one.next_seq for answer in told if answer for one in answer.output] == [CHUNKS]


async def test_who_says_much_does_not_keep_the_others_waiting() -> None:
    table = Table()
    async with saving(table) as box:
        for _ in range(20 * inbox.ITEMS_MAX):
            update = TaskUpdate(task_id=new_id(), state=TaskState.SUCCEEDED)
            assert box.take(Reported(1, [update]), "talker", lambda _: None)
        later = [TaskUpdate(task_id=new_id(), state=state) for state in STATES]
        assert box.take(Reported(2, later), "other", lambda _: None)
        table.open.set()
        await emptied(box)
    places = [at for at, item in enumerate(table.items) if item.device_id == 2]
    assert places[-1] < 2 * inbox.ITEMS_MAX
    assert [item.updates[0].state for item in table.items if item.device_id == 2 and isinstance(item, Reported)] == [
        *STATES
    ]


@example([(3, CHUNKS), (0, 3)])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, CHUNKS - 1), st.integers(1, CHUNKS)),  # chunks from here, so many
            st.just(None),  # time passes
        ),
        max_size=20,
    )
)
def test_no_chunk_is_left_out_because_of_another(messages: list[tuple[int, int] | None]) -> None:
    """Whatever was said before, in whatever order: who says all of it is answered that all of it is saved."""

    async def story() -> None:
        table = Table()
        answers: list[Saved | None] = []
        table.open.set()
        async with saving(table) as box:
            for message in messages:
                if message is None:
                    await asyncio.sleep(0)
                    continue
                start, count = message
                seqs = range(start, min(start + count, CHUNKS))
                assert box.take(Printed(1, "task", [Frame(seq, 1, b"x") for seq in seqs]), "link", lambda _: None)
            everything = [Frame(seq, 1, b"x") for seq in range(CHUNKS)]
            assert box.take(Printed(1, "task", everything), "post", answers.append)
            await emptied(box)
        assert table.stored == {"task": CHUNKS}
        assert [one.next_seq for answer in answers if answer for one in answer.output] == [CHUNKS]

    asyncio.run(story())
