"""Connections that owe a request: nobody holds one for long, or many, or makes one that never ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from app.http import HEAD_MAX_BYTES
from app.settings import Settings
from tests.support.node import Lines, RunningNode, Serve, eventually, serving

ENDS_S = 10.0
MOST = 4
LONG_REQUEST = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n"
)
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


# One kind is enough: no database is asked here.
pytestmark = pytest.mark.databases("sqlite")


@pytest.fixture
async def node(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> RunningNode:
    """A server that is in a hurry."""
    monkeypatch.setattr("app.http.REQUEST_S", 0.6)
    monkeypatch.setattr("app.http.PROMPT_S", 0.2)
    return await serve(anonymous_max=MOST)


@contextlib.asynccontextmanager
async def connection(node: RunningNode) -> AsyncIterator[Streams]:
    """A TCP connection to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.settings.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def dribble(writer: asyncio.StreamWriter, line: bytes) -> None:
    """A byte now and then, until the server has had enough."""
    with contextlib.suppress(ConnectionError):
        for byte in line:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)
        await asyncio.sleep(60)


async def test_fault_18_a_request_that_does_not_arrive_ends_its_connection(node: RunningNode, lines: Lines) -> None:
    async def answer(said: bytes) -> bytes:
        async with connection(node) as (reader, writer):
            writer.write(said)
            return await reader.read()

    partly = [b"", b"\r\n", b"GET /healthz HTTP/1.1\r\nhost: he"]
    async with asyncio.timeout(ENDS_S):
        *answers, in_the_body = await asyncio.gather(*map(answer, [*partly, LONG_REQUEST + b'{"email": ']))
    assert [said[:13] for said in answers] == [b"HTTP/1.1 408 "] * len(partly)
    assert in_the_body == b""  # somebody else answers, who waits for the rest
    assert sum("a request did not arrive in time" in line for line in lines()) == MOST
    assert not [line for line in lines() if "Traceback" in line or "request.crashed" in line]


async def test_fault_18_a_byte_now_and_then_buys_no_time(node: RunningNode) -> None:
    async def answer(first: bytes) -> bytes:
        async with connection(node) as (reader, writer):
            if first:
                writer.write(first)
                await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET /healthz HTTP/1.1\r\n")
            slow = asyncio.create_task(dribble(writer, b"x-header: " + b"x" * 1_000))
            try:
                return await reader.read()
            finally:
                slow.cancel()

    async with asyncio.timeout(ENDS_S):
        for answered in await asyncio.gather(answer(b""), answer(HEALTH)):  # the first request, and the second
            assert b"HTTP/1.1 408 " in answered


async def test_fault_18_silence_before_the_first_byte_buys_no_time(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.PROMPT_S", 1.5)
    monkeypatch.setattr("app.http.REQUEST_S", 1.6)
    clock = asyncio.get_running_loop().time
    async with connection(node) as (reader, writer), asyncio.timeout(ENDS_S):
        opened = clock()
        await asyncio.sleep(1.2)
        writer.write(b"GET /healthz")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        assert clock() - opened < 1.2 + 1.5


async def test_a_server_that_stops_waits_for_nobody_who_is_silent(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(ENDS_S):
        async with serving(settings) as node:
            silent, _ = await stack.enter_async_context(connection(node))
            reader, writer = await stack.enter_async_context(connection(node))
            writer.write(HEALTH)  # once it is answered, both were accepted
            await reader.readuntil(b"\r\n\r\n")
        assert await silent.read() == b""


async def test_a_head_without_an_end_is_refused(node: RunningNode) -> None:
    async with connection(node) as (reader, writer), asyncio.timeout(ENDS_S):
        writer.write(b"GET /healthz HTTP/1.1\r\n" + b"x-header: y\r\n" * (HEAD_MAX_BYTES // 13 + 1))
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_whole_requests_on_one_connection_are_never_counted(node: RunningNode) -> None:
    async with connection(node) as (reader, writer), asyncio.timeout(ENDS_S):
        for _ in range(10):
            writer.write(HEALTH)
            assert b"HTTP/1.1 200 " in await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.1)  # in all longer than a request may take


async def test_fault_18_one_address_has_so_many_connections_that_owe_a_request(node: RunningNode) -> None:
    async with contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(connection(node)) for _ in range(MOST + 4)]
        answers = await asyncio.gather(*(reader.read() for reader, _ in held))
        assert [answer[:13] for answer in answers].count(b"HTTP/1.1 503 ") == 4
        assert [answer[:13] for answer in answers].count(b"HTTP/1.1 408 ") == MOST

        async def there_is_room() -> bool:
            async with connection(node) as (reader, _):
                return (await reader.read()).startswith(b"HTTP/1.1 408 ")

        await eventually(there_is_room, what="room, once they are gone")
