"""What waits for its turn: in order, gone when it is too late or called off, all of them by one timer."""

import asyncio

from deployx_agent.tasks.entry import Entry
from deployx_agent.tasks.spool import NOTHING
from deployx_agent.tasks.waiting import Waiting
from deployx_protocol.tasks import TaskState

LONG_S = 600.0


def entry(name: str) -> Entry:
    return Entry(name, NOTHING, TaskState.ACCEPTED, 0.0)


async def test_the_first_to_come_is_the_first_to_go() -> None:
    late: list[str] = []
    waiting = Waiting(lambda entries: late.extend(one.task_id for one in entries))
    entries = [entry(name) for name in "abcd"]
    for one in entries:
        waiting.add(one, LONG_S)
    waiting.remove(entries[1])
    waiting.remove(entry("z"))
    assert [waiting.take(), waiting.take(), waiting.take(), waiting.take()] == [entries[0], *entries[2:], None]
    assert late == []


async def test_what_is_too_late_is_told_together_and_never_taken() -> None:
    told: asyncio.Queue[list[str]] = asyncio.Queue()
    waiting = Waiting(lambda entries: told.put_nowait([one.task_id for one in entries]))
    kept = entry("kept")
    waiting.add(entry("first"), 0.05)
    waiting.add(kept, LONG_S)
    waiting.add(entry("second"), 0.03)
    waiting.add(entry("at once"), 0.0)
    said: list[str] = []
    async with asyncio.timeout(30):
        while len(said) < 3:
            said += await told.get()
    assert sorted(said) == ["at once", "first", "second"]
    assert waiting.take() is kept
    assert waiting.take() is None


async def test_what_became_late_unnoticed_is_told_when_its_turn_comes() -> None:
    late: list[Entry] = []
    waiting = Waiting(late.extend)
    gone, kept = entry("gone"), entry("kept")
    waiting.add(gone, LONG_S)
    waiting.add(kept, LONG_S)
    gone.start_by = 0.0  # as after a sleep of the machine, in which no timer runs
    assert waiting.take() is kept
    assert late == [gone]
