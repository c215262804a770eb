"""Connections whose peers do not say who they are: how many, for how long, and how much is said about them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import websockets

from app.complaints import Complaints
from app.realtime.admission import Admission
from tests.support.node import Lines, Serve
from tests.support.rawlink import RawLink

ADDRESS = "192.0.2.1"
MANY = 1_000


class Cut:
    """What was cut, and when there was something."""

    def __init__(self) -> None:
        self.transports: list[str] = []
        self.happened = asyncio.Event()

    def __call__(self, eio_sid: str) -> None:
        """Take note."""
        self.transports.append(eio_sid)
        self.happened.set()


async def test_a_deadline_is_extended_and_ends() -> None:
    cut = Cut()
    admission = Admission("agent", 2, 0.2, cut)
    loop = asyncio.get_running_loop()
    assert admission.admit("busy", ADDRESS)
    assert admission.admit("early", ADDRESS)
    admission.done("early")
    time.sleep(0.1)
    extended = loop.time()
    admission.extend("busy")
    admission.extend("early")  # which is done: it gets no deadline again
    await cut.happened.wait()
    assert cut.transports == ["busy"]
    assert loop.time() - extended >= 0.19


async def test_who_has_to_say_it_anew_counts_once_and_is_never_refused() -> None:
    cut = Cut()
    admission = Admission("agent", 2, 3_600, cut)
    assert admission.admit("copy", ADDRESS)
    admission.done("copy")
    assert admission.admit("one", ADDRESS)
    assert admission.admit("two", ADDRESS)
    admission.readmit("copy", ADDRESS)
    admission.readmit("copy", ADDRESS)
    for gone in ("one", "two", "copy"):
        assert not admission.admit("another", ADDRESS) or gone == "copy"
        admission.done(gone)
        admission.done(gone)
    assert not cut.transports


@asynccontextmanager
async def silent(url: str, count: int) -> AsyncIterator[list[RawLink]]:
    """Connections that open and say nothing."""
    async with AsyncExitStack() as stack:
        gate = asyncio.Semaphore(100)

        async def link() -> RawLink:
            async with gate:
                return await stack.enter_async_context(RawLink.opened(url))

        yield list(await asyncio.gather(*(link() for _ in range(count))))


@pytest.mark.databases("sqlite")
async def test_threat_20_connections_that_never_register_leave_few_lines(
    serve: Serve, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployx_protocol.limits.REGISTER_DEADLINE_S", 0.2)
    node = await serve(enrollment="approval", anonymous_max=MANY)
    before = len(lines())
    async with silent(node.url, MANY) as links:
        assert await asyncio.gather(*(link.event_or_end() for link in links)) == [None] * MANY
    said = lines()[before:]
    assert sum("agent.too_late" in line for line in said) == Complaints.PER_WINDOW + 1
    assert len(said) < 50, said


@pytest.mark.databases("sqlite")
async def test_threat_20_who_comes_while_there_are_too_many_is_told_in_few_lines(serve: Serve, lines: Lines) -> None:
    node = await serve(enrollment="approval", anonymous_max=3)
    async with silent(node.url, 3):
        for _ in range(50):
            with pytest.raises(websockets.InvalidStatus):
                async with RawLink.opened(node.url):
                    pass
    assert sum("agent.refused" in line for line in lines()) == Complaints.PER_WINDOW + 1


@pytest.mark.databases("sqlite")
async def test_what_was_on_its_way_when_the_connection_was_cut_is_passed_over(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    node = await serve(enrollment="approval")
    async with RawLink.opened(node.url) as link:
        await link.send(b"refused: binary")
        await link.send("40")
        assert await link.event_or_end() is None
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
