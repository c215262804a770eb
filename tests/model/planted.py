"""Bugs that can be planted into either end, each a mistake that somebody could make. The machine has to find them."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

from app.devices import identity
from app.realtime.dispatcher import Dispatcher
from app.tasks.reports import Printed, Reported, ReportService, Saved
from deployx_agent.tasks.journal import Journal, Stage
from deployx_agent.tasks.outbox import Outbox
from deployx_agent.tasks.store import Store
from deployx_protocol.task_messages import OutputSaved, UpdateSaved
from deployx_protocol.tasks import TaskState


@dataclass(frozen=True)
class Plant:
    """A bug: within ``there()`` it is there. From ``seed`` on it is found soon, which only saves time."""

    there: Callable[[], contextlib.AbstractContextManager[Any]]
    seed: int


PLANTS: dict[str, Plant] = {}


LATE_S = 3.0
_BESIDE: set[asyncio.Task[None]] = set()


def plant(where: Any, name: str, *, seed: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What is decorated is a bug in place of ``where.name``; its first argument is what stands there by rights."""

    def add(bug: Callable[..., Any]) -> Callable[..., Any]:
        right = getattr(where, name)

        def there() -> contextlib.AbstractContextManager[Any]:
            return mock.patch.object(where, name, lambda *args, **more: bug(right, *args, **more))

        PLANTS[bug.__name__] = Plant(there, seed)
        return bug

    return add


def _later(work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Do ``work`` a little later; nobody hears that it failed."""

    async def quietly() -> None:
        await asyncio.sleep(LATE_S)
        with contextlib.suppress(Exception):
            await work()

    task = asyncio.get_running_loop().create_task(quietly())
    _BESIDE.add(task)
    task.add_done_callback(_BESIDE.discard)


# ---------------------------------------------------------------- the server


@plant(ReportService, "save_many")
async def acknowledges_before_the_commit(right: Any, self: Any, items: Sequence[Reported | Printed]) -> list[Saved]:
    """The agent may forget what is not there yet."""
    _later(lambda: right(self, items))
    return [
        Saved(updates=[UpdateSaved(task_id=update.task_id, state=update.state) for update in item.updates])
        if isinstance(item, Reported)
        else Saved(output=[OutputSaved(task_id=item.task_id, next_seq=item.frames[-1].seq + 1)])
        for item in items
    ]


@plant(Dispatcher, "registered", seed=9)
def does_not_send_again(right: Any, self: Any, session: Any) -> None:
    """What was on its way to an earlier connection is not told to the next."""
    right(self, session)
    self._due[session.device_id] = False


@plant(identity, "lost_memory")
def sends_again_to_a_new_journal(_right: Any, *_: Any) -> None:
    """Nobody asks whether the agent remembers."""


# ---------------------------------------------------------------- the agent


@plant(Store, "received")
async def starts_at_once_and_does_not_say_so(right: Any, self: Any, tasks: Any, _started: Any) -> Any:
    """A task is journalled as one that waits, and is executed."""
    return await right(self, tasks, {})


@plant(Store, "started", seed=11)
async def executes_before_it_is_journalled(_right: Any, *_: Any) -> None:
    """The start is not remembered."""


@plant(Journal, "unclosed")
def starts_again_what_was_running(right: Any, self: Any) -> Any:
    """After a crash nobody looks how far it had come."""
    return [row._replace(stage=Stage.RECEIVED) if row.stage is Stage.STARTED else row for row in right(self)]


@plant(Outbox, "_report")
async def says_it_succeeded_when_it_was_interrupted(right: Any, self: Any, link: Any, entries: Any, now: Any) -> None:
    """The verdict is wrong."""
    for entry in entries:
        if entry.final and entry.final.state is TaskState.INTERRUPTED:
            entry.state = TaskState.SUCCEEDED
            entry.final = type(entry.final)(task_id=entry.task_id, state=TaskState.SUCCEEDED, chunks=entry.final.chunks)
    await right(self, link, entries, now)
