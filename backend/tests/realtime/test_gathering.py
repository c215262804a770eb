"""When the one writer writes: at once for whoever comes alone, together for those that come right behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.devices.outcomes import Outcome, Refused, Registration
from app.realtime import presence
from app.realtime.presence import PresenceLoop
from app.realtime.sessions import Sessions
from app.web.metrics import Metrics
from deployx_protocol.codes import Code

NOBODY = cast("Registration", None)
OUTCOME = Refused(Code.SERVER_BUSY, "")


class Batches(list[int]):
    """Takes registrations, and remembers how many came together."""

    async def register_many(self, registrations: Sequence[Registration]) -> list[Outcome]:
        self.append(len(registrations))
        return [OUTCOME] * len(registrations)


@pytest.fixture
async def writing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[PresenceLoop, Batches]]:
    """A writer that would gather for longer than any test takes."""
    monkeypatch.setattr(presence, "GATHER_S", 600.0)
    batches = Batches()
    rows: Any = SimpleNamespace(leave=lambda _: asyncio.sleep(0))
    loop = PresenceLoop(cast("Any", batches), rows, Sessions(), Metrics(), alone=True, reregister=lambda _: None)
    running = asyncio.create_task(loop.run())
    yield loop, batches
    running.cancel()
    await asyncio.wait([running])


def come(loop: PresenceLoop, count: int) -> "asyncio.Future[list[Outcome]]":
    return asyncio.gather(*(loop.register(NOBODY, lambda _: None) for _ in range(count)))


async def test_whoever_comes_alone_is_written_at_once(writing: tuple[PresenceLoop, Batches]) -> None:
    loop, batches = writing
    assert (await come(loop, 1), batches) == ([OUTCOME], [1])


async def test_a_whole_batch_waits_for_nobody(writing: tuple[PresenceLoop, Batches]) -> None:
    loop, batches = writing
    await come(loop, 1)
    few = come(loop, 3)
    await come(loop, presence.BATCH_MAX - 3)
    assert (len(await few), batches) == (3, [1, presence.BATCH_MAX])


async def test_who_comes_right_behind_is_written_together(
    writing: tuple[PresenceLoop, Batches], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "GATHER_S", 0.3)
    loop, batches = writing
    await come(loop, 1)
    first = come(loop, 2)
    await asyncio.sleep(0.01)  # as if they came from a network
    await asyncio.gather(first, come(loop, 3))
    assert batches == [1, 5]


async def test_a_stop_lets_nobody_wait(writing: tuple[PresenceLoop, Batches]) -> None:
    loop, batches = writing
    await come(loop, 1)
    late = come(loop, 2)
    await asyncio.sleep(0)  # they wait
    await loop.stop()
    codes = [outcome.code for outcome in await late if isinstance(outcome, Refused)]
    assert (codes, batches) == ([Code.SERVER_SHUTDOWN] * 2, [1])
