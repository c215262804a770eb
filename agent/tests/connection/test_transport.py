"""The transport against servers that are none: whatever they say, it ends with a sentence and leaves nothing behind."""

import asyncio
import base64
import gc
import hashlib
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deployx_agent.connection.socketio_transport import SocketIOTransport, tls_context
from deployx_agent.connection.transport import Closed, ConnectError, ConnectTimeout, Received
from tests.support.authority import Authority

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OPEN = b'0{"sid":"e","pingInterval":30000,"pingTimeout":30000}'
DEADLINE_S = 30.0
Says = Callable[[bytes], list[bytes]]
"""What a server writes, piece by piece, given the head that opens the websocket."""


def opening(request: bytes) -> bytes:
    """The head that opens the websocket which ``request`` asks for."""
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept


def framed(payload: bytes) -> bytes:
    length = len(payload)
    return bytes((0x81, length)) + payload if length < 126 else b"\x81\x7e" + length.to_bytes(2, "big") + payload


@pytest.fixture(autouse=True)
async def nothing_is_left_behind() -> AsyncIterator[None]:
    """Neither a task nor an exception that nobody has seen."""
    unseen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
    before = asyncio.all_tasks()
    yield
    gc.collect()  # a future tells of an exception that nobody has seen when it goes
    assert not unseen
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


async def told(says: Says, *, stays: bool = False) -> tuple[list[Received | Closed], str]:
    """What is delivered by a server that says this, and why opening failed, if it did."""
    heard: asyncio.Queue[Received | Closed] = asyncio.Queue()
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())  # type: ignore[arg-type]
        head = opening(await reader.readuntil(b"\r\n\r\n"))
        try:
            for piece in says(head):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if stays:
                await reader.read()
        except ConnectionError:
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        transport = SocketIOTransport(f"http://127.0.0.1:{port}", None, heard.put_nowait)
        why = ""
        delivered: list[Received | Closed] = []
        try:
            await transport.open(DEADLINE_S)
            async with asyncio.timeout(DEADLINE_S):
                while not delivered or not isinstance(delivered[-1], Closed):
                    delivered.append(await heard.get())
        except ConnectError as error:
            why = str(error)
        await transport.close()
        await asyncio.gather(*served)
    assert heard.empty()
    return delivered, why


WELCOME = (OPEN, b'40{"sid":"s"}')


class Records:
    """The server's end of TLS on a connection, which says when records leave."""

    def __init__(self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._from, self._to = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from, self._to, server_side=True)

    async def _done(self, step: Callable[[], bytes | None]) -> bytes:
        while True:
            try:
                return step() or b""
            except ssl.SSLWantReadError:
                self._writer.write(self._to.read())
                self._from.write(await self._reader.read(65_536))

    async def request(self) -> bytes:
        """What is asked, after TLS's handshake."""
        await self._done(self._tls.do_handshake)
        return await self._done(lambda: self._tls.read(65_536))

    def say(self, *pieces: bytes) -> None:
        """A record for each piece, all of them at once."""
        for piece in pieces:
            self._tls.write(piece)
        self._writer.write(self._to.read())


async def test_records_of_tls_that_come_together_are_all_read(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority").make()
    context = authority.issue("IP:127.0.0.1")
    heard: asyncio.Queue[Received | Closed] = asyncio.Queue()
    numbers = list(range(40))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        records = Records(context, reader, writer)
        head = opening(await records.request())
        long = b"x" * 1_000  # more than the client reads at a time
        said = [framed(b'42["a",[%d,"%b"]]' % (number, long)) for number in numbers]
        records.say(head, *map(framed, WELCOME), *said, framed(b"41"))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = SocketIOTransport(origin, tls_context(authority.certificate), heard.put_nowait)
        await transport.open(DEADLINE_S)
        async with asyncio.timeout(DEADLINE_S):
            for number in numbers:
                received = await heard.get()
                assert isinstance(received, Received)
                assert received.payload[0] == number
            assert await heard.get() == Closed("the server ended the session")
        await transport.close()


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_pieces_make_no_difference(step: int) -> None:
    whole = b"".join(map(framed, (*WELCOME, b'42["a",1]', b"2", b'42["b"]', b"41")))

    def says(head: bytes) -> list[bytes]:
        return [(head + whole)[at : at + step] for at in range(0, len(head + whole), step)]

    delivered, why = await told(says)
    assert (delivered, why) == ([Received("a", 1), Received("b", None), Closed("the server ended the session")], "")


@pytest.mark.parametrize(
    ("packets", "why"),
    [
        ((b'42["early"]',), "This packet does not belong here"),
        ((b'40{"sid":"s"}',), "This packet does not belong here"),
        ((OPEN, OPEN), "This packet does not belong here"),
        ((OPEN, b'42["early"]'), "This packet does not belong here"),
        ((OPEN, b"40"), "does not say what it calls this connection"),
        ((OPEN, b'40{"sid":5}'), "does not say what it calls this connection"),
        ((OPEN, b'44"Unable to connect"'), "Unable to connect"),
        ((OPEN, b"44"), "the server refused the connection"),
        ((OPEN, b"1"), "This packet does not belong here"),
        ((b"0{}",), "The handshake is not what Engine.IO sends"),
        ((), "the connection was closed"),
    ],
)
async def test_a_way_in_that_is_not_the_protocols_is_a_failed_connection(packets: tuple[bytes, ...], why: str) -> None:
    delivered, said = await told(lambda head: [head, *map(framed, packets)])
    assert delivered == []
    assert why in said


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b'40{"sid":"again"}', "This packet does not belong here"),
        (OPEN, "This packet does not belong here"),
        (b'42/admin,["a"]', "There is one namespace"),
        (b"1", "the server ended the session"),
        (b"", "no packet that Engine.IO sends"),
    ],
)
async def test_what_breaks_the_protocol_later_ends_the_connection(packet: bytes, why: str) -> None:
    after = b'42["never"]'
    [ended], _ = await told(
        lambda head: [head, *map(framed, (*WELCOME, b'42["connect",1]', packet, after))], stays=True
    )
    assert isinstance(ended, Closed)
    assert why in ended.reason


@pytest.mark.parametrize("seed", range(20))
async def test_noise_at_any_moment_is_survived(seed: int) -> None:
    noise = random.Random(seed)

    def says(head: bytes) -> list[bytes]:
        good = [head, *map(framed, WELCOME), framed(b'42["a",1]')][: noise.randint(0, 4)]
        raw = noise.randbytes(noise.randint(1, 300))
        return [*good, noise.choice([raw, framed(raw), framed(b"4" + raw)])]

    delivered, why = await told(says)
    assert why or isinstance(delivered[-1], Closed)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_never_speaks_is_a_timeout(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        transport = SocketIOTransport(
            f"{scheme}://127.0.0.1:{deaf.getsockname()[1]}", tls_context(None) if scheme == "https" else None, print
        )
        with pytest.raises(ConnectTimeout, match=r"no connection within 0\.1 s"):
            await transport.open(0.1)
        await transport.close()
