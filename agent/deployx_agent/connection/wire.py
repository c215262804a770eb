"""One websocket to the server, over TCP or TLS: dialled, opened, and closed in bounded time.

It hands whole text messages to ``on_message`` and says once, through ``on_end``, that nothing more will come. What the
websocket itself asks for (pings, the goodbye) is answered here.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from ssl import SSLContext
from typing import cast
from urllib.parse import urlsplit

from deployx_agent import VERSION
from deployx_agent.connection import websocket
from deployx_agent.connection.dialling import dial
from deployx_agent.connection.transport import ConnectError
from deployx_agent.connection.websocket import WebSocketError
from deployx_protocol import limits, origins

_CLOSE_TIMEOUT_S = 2.0
_READ_BYTES = 16_384
"""What one read takes at most. Its buffer is kept: asyncio's own would be 256 KiB, asked from the system each time."""


class Wire(asyncio.BufferedProtocol):
    """Made, opened once, closed once. ``on_end`` gets a sentence."""

    def __init__(self, on_message: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._tcp: asyncio.Transport | None = None
        self._key = websocket.new_key()
        self._head = bytearray()
        # asyncio's TLS reads each record into a slice of it, which must be no copy
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._frames = websocket.Frames(limits.AGENT_MESSAGE_MAX_BYTES)
        self._opened: asyncio.Future[None] | None = None
        self._said_goodbye = False
        self._ended = False
        self._written = asyncio.Event()
        self._written.set()
        self._gone = asyncio.Event()

    async def open(self, origin: str, target: str, tls: SSLContext | None) -> None:
        """Connect to ``origin`` and ask for ``target``. Raises ConnectError, OSError or UnicodeError."""
        loop = asyncio.get_running_loop()
        self._opened = loop.create_future()
        address = urlsplit(origin)
        host = address.hostname or ""
        sock = await dial(host, address.port or (443 if tls else 80))
        try:
            if tls:
                await loop.create_connection(
                    lambda: self, sock=sock, ssl=tls, server_hostname=host, ssl_shutdown_timeout=_CLOSE_TIMEOUT_S
                )
            else:
                await loop.create_connection(lambda: self, sock=sock)
        except BaseException:
            sock.close()
            raise
        assert self._tcp is not None
        agent = f"deployx-agent/{VERSION}"
        self._tcp.write(websocket.request(address.netloc, target, self._key, agent))
        await self._opened

    @property
    def local_address(self) -> object:
        """Of the socket, as ``getsockname()`` gives it."""
        return self._tcp.get_extra_info("sockname") if self._tcp else None

    @property
    def peer(self) -> tuple[str, int]:
        """The server's address and port."""
        host, port, *_ = self._tcp.get_extra_info("peername") if self._tcp else ("", 0)
        return host, port

    def send(self, message: bytes) -> None:
        """Write a text message; nothing happens on a websocket that has ended."""
        if self._tcp is not None and not self._ended:
            self._tcp.write(websocket.frame(websocket.TEXT, message))

    async def written(self) -> None:
        """Wait until the system has taken all that was sent."""
        await self._written.wait()

    def fail(self, why: str, code: int = websocket.PROTOCOL_ERROR) -> None:
        """End it because of what the peer did, or did not do."""
        self._say_goodbye(code)
        self._end(why)
        if self._tcp is not None:
            self._tcp.close()

    async def close(self) -> None:
        """Say goodbye if the peer still listens; then end the connection whether it does or not."""
        self._ended = True
        if self._tcp is None:
            return
        self._say_goodbye(websocket.GOING)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._gone.wait()
        self._tcp.abort()

    # -------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS, are there."""
        self._tcp = cast(asyncio.Transport, transport)
        self._tcp.set_write_buffer_limits(high=0)  # so that it says when all is written

    def pause_writing(self) -> None:
        """Something waits to be written."""
        self._written.clear()

    def resume_writing(self) -> None:
        """Nothing does."""
        self._written.set()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where what comes is put."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        data = bytes(self._buffer[:nbytes])
        try:
            if self._opened is not None and not self._opened.done():
                data = self._open(data)
            elif not self._ended and (text := self._frames.whole(data)) is not None:
                self._on_message(text)
                return
            for message in self._frames.feed(data) if data else ():
                self._take(message)
        except WebSocketError as error:
            self._refuse(ConnectError(f"the server breaks the websocket's protocol: {error}"))
            self.fail(f"the server breaks the websocket's protocol: {error}", error.close_code)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        why = getattr(exc, "strerror", None) or str(exc or "") or "the connection was closed"
        self._refuse(ConnectError(why))
        self._end(why)
        self._written.set()
        self._gone.set()

    # -------------------------------------------------------- inside

    def _open(self, data: bytes) -> bytes:
        """The handshake; what comes after it."""
        self._head += data
        raw, end, rest = bytes(self._head).partition(b"\r\n\r\n")
        if len(raw) > websocket.HEAD_MAX_BYTES:
            raise WebSocketError("The answer's headers are too long.")
        if not end:
            return b""
        head = websocket.parse_head(raw)
        assert self._opened is not None
        if head.opens(self._key):
            self._opened.set_result(None)
            return rest
        self._refuse(ConnectError(_why_not(head)))
        self._ended = True
        if self._tcp is not None:
            self._tcp.abort()
        return b""

    def _take(self, message: websocket.Message) -> None:
        if self._ended:
            return
        match message.kind:
            case websocket.TEXT:
                self._on_message(message.payload)
            case websocket.PING:
                if self._tcp is not None:
                    self._tcp.write(websocket.frame(websocket.PONG, message.payload))
            case websocket.BINARY:
                self.fail("the server sent a binary message", websocket.UNACCEPTABLE)
            case websocket.CLOSE:
                code = websocket.goodbye_code(message.payload)
                self.fail("the server closed the connection" + (f" ({code})" if code else ""), websocket.GOING)

    def _refuse(self, error: ConnectError) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()  # seen, even if whoever waited has been cancelled

    def _say_goodbye(self, code: int) -> None:
        if self._tcp is not None and not self._said_goodbye and not self._tcp.is_closing():
            self._said_goodbye = True
            self._tcp.write(websocket.goodbye(code))

    def _end(self, why: str) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(why)


def _why_not(head: websocket.Head) -> str:
    """A redirect to another server is worth its name; nothing follows it."""
    if head.status // 100 == 3 and "location" in head.headers:
        with suppress(ValueError):
            elsewhere = origins.normalise(head.headers["location"])
            return f"the server redirects to {elsewhere}, which is not the server that was asked for"
    return f"the server answered {head.status} instead of opening a websocket"
