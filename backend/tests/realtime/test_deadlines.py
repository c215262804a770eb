"""The wheel of timers, and coroutines that begin at once, by themselves."""

import asyncio
from collections.abc import Callable

import pytest

from app.realtime.agentlink import deadlines
from app.realtime.agentlink.deadlines import Deadlines, Watch
from app.realtime.agentlink.steps import at_once, begin
from tests.support.node import eventually


class Peer:
    """A connection that answers as long as ``answers``."""

    def __init__(self, *, answers: bool = True, at_work: bool = False) -> None:
        self.watch = Watch()
        self.answers = answers
        self.at_work = at_work
        self.pings = 0
        self.given_up = 0
        self.wheel: Deadlines | None = None

    def ping(self) -> None:
        """Take note, and answer in a moment."""
        self.pings += 1
        if self.answers and self.wheel:
            asyncio.get_running_loop().call_soon(self.wheel.answered, self)

    def overdue(self) -> None:
        """Take note."""
        self.given_up += 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that turns fast."""
    monkeypatch.setattr(deadlines, "TICK_S", 0.01)


@pytest.mark.usefixtures("quick")
async def test_who_answers_is_pinged_again_and_who_does_not_is_given_up_once() -> None:
    wheel = Deadlines(0.05, 0.05)
    there, silent = Peer(), Peer(answers=False)
    there.wheel = silent.wheel = wheel
    wheel.add(there)
    wheel.add(silent)
    await eventually(lambda: silent.given_up and there.pings > 5, what="one given up, one pinged on")
    assert (there.given_up, silent.given_up, silent.pings) == (0, 1, 1)
    wheel.close()


@pytest.mark.usefixtures("quick")
async def test_who_is_removed_is_left_alone() -> None:
    wheel = Deadlines(0.02, 0.02)
    gone, there = Peer(answers=False), Peer()
    there.wheel = wheel
    wheel.add(gone)
    wheel.add(there)
    wheel.remove(gone)
    await eventually(lambda: there.pings > 5, what="the other is pinged on")
    assert (gone.pings, gone.given_up) == (0, 0)
    wheel.close()


@pytest.mark.usefixtures("quick")
async def test_who_is_being_handled_gets_one_more_chance() -> None:
    wheel = Deadlines(0.02, 0.02)
    busy = Peer(answers=False, at_work=True)
    wheel.add(busy)
    await eventually(lambda: busy.given_up, what="given up")
    assert busy.pings == 2
    wheel.close()


@pytest.mark.usefixtures("quick")
async def test_a_loop_that_stood_still_gives_everyone_one_more_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    right: Callable[[], float] = loop.time
    leap = [0.0]
    monkeypatch.setattr(loop, "time", lambda: right() + leap[0])
    wheel = Deadlines(0.02, 0.2)
    peer = Peer(answers=False)
    wheel.add(peer)
    await eventually(lambda: peer.pings == 1, what="pinged")
    leap[0] += 3600
    await eventually(lambda: peer.pings == 2, what="pinged again")
    assert peer.given_up == 0
    await eventually(lambda: peer.given_up, what="given up")
    assert peer.pings == 2
    wheel.close()


@pytest.mark.usefixtures("quick")
async def test_a_pong_that_is_read_in_the_turns_after_the_deadline_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Deadlines(0.02, 0.05)
    peer = Peer(answers=False)
    judge = wheel._judge

    async def judge_while_it_is_read(expired: list[deadlines.Pinged]) -> None:
        asyncio.get_running_loop().call_soon(wheel.answered, peer)
        await judge(expired)

    monkeypatch.setattr(wheel, "_judge", judge_while_it_is_read)
    wheel.add(peer)
    await eventually(lambda: peer.pings >= 3, what="pinged on")
    assert peer.given_up == 0
    wheel.close()


async def test_the_first_pings_are_spread() -> None:
    wheel = Deadlines(60, 60)
    peers = [Peer() for _ in range(500)]
    for peer in peers:
        wheel.add(peer)
    assert len({peer.watch.slot for peer in peers}) > 100
    wheel.close()


# ---------------------------------------------------------------- steps


async def _says(word: str, told: list[str], waits_for: asyncio.Future[None] | None = None) -> str:
    told.append(f"{word} begins")
    if waits_for:
        await waits_for
    told.append(f"{word} ends")
    return word


async def test_what_waits_for_nothing_is_done_at_once() -> None:
    told: list[str] = []
    assert begin(_says("a", told)) is None
    assert told == ["a begins", "a ends"]
    assert at_once(_says("b", told)) == "b"
    assert begin(_says("c", told), lambda given, word: told.append(f"{given} {word}"), "then") is None
    assert told[-1] == "then c"


async def test_what_waits_goes_on_as_a_task() -> None:
    told: list[str] = []
    door = asyncio.get_running_loop().create_future()
    task = begin(_says("a", told, door), lambda given, word: told.append(f"{given} {word}"), "then")
    assert task is not None
    assert told == ["a begins"]
    door.set_result(None)
    assert await task == "a"
    assert told == ["a begins", "a ends", "then a"]


async def test_what_fails_is_heard_of() -> None:
    async def fails(waits_for: asyncio.Future[None] | None) -> None:
        if waits_for:
            await waits_for
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        begin(fails(None))
    door = asyncio.get_running_loop().create_future()
    task = begin(fails(door))
    assert task is not None
    door.set_exception(KeyError("worse"))
    with pytest.raises(KeyError, match="worse"):
        await task


async def test_what_goes_on_as_a_task_can_be_cancelled() -> None:
    told: list[str] = []
    task = begin(_says("a", told, asyncio.get_running_loop().create_future()))
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["a begins"]


async def test_what_waits_where_nothing_can_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="waits"):
        at_once(_says("a", [], asyncio.get_running_loop().create_future()))
