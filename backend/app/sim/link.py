"""One Socket.IO connection of one simulated agent, on a websocket and nothing else, so that a thousand fit a process.

Unlike a library's client it can be broken on purpose: cut without a goodbye, or left open without being read.
"""

import asyncio
from collections import deque
from typing import Any

import msgspec
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

OPEN_S = 15.0
CLOSE_S = 1.0
MESSAGE_MAX_BYTES = 1 << 20
_OPEN, _CLOSE, _PING, _PONG = b"0", b"1", b"2", b"3"
_CONNECT, _DISCONNECT, _EVENT, _REFUSED = b"40", b"41", b"42", b"44"
_BUFFER_BYTES = 2_048
_TEXT = WSMsgType.TEXT

_NO_CONNECTION = (OSError, TimeoutError, WSError, msgspec.MsgspecError, ValueError, KeyError)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class LinkLost(Exception):
    """There is no connection, or not any more."""


class Link(WSListener):
    """An open connection; ``sid`` is its Socket.IO sid, the nonce of a registration."""

    def __init__(self) -> None:
        self.sid = ""
        self._socket: WSTransport | None = None
        self._packets: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._parts = bytearray()
        self._lost = ""
        """Why there is no connection any more; empty while there is."""

    @classmethod
    async def open(cls, origin: str) -> "Link":
        """Connect to the server at ``origin``. Raises LinkLost."""
        url = f"{origin.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        link = cls()
        try:
            async with asyncio.timeout(OPEN_S):
                await ws_connect(
                    lambda: link, url, max_frame_size=MESSAGE_MAX_BYTES, read_buffer_init_size=_BUFFER_BYTES
                )
                await link._expect(_OPEN)
                await link._say(_CONNECT)
                link.sid = str(_decode(await link._expect(_CONNECT))["sid"])
                return link
        except BaseException as error:
            link.cut()
            if isinstance(error, _NO_CONNECTION):
                raise LinkLost(str(error) or type(error).__name__) from None
            raise

    # ------------------------------------------------------------ what the socket says

    def on_ws_connected(self, transport: WSTransport) -> None:
        """It is open."""
        self._socket = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Something came. Pings are answered at once."""
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            transport.disconnect()
        elif kind is WSMsgType.BINARY:
            self._end("the server sent something binary")
        elif kind is _TEXT or kind is WSMsgType.CONTINUATION:
            self._parts += frame.get_payload_as_memoryview()
            if frame.fin:
                packet = bytes(self._parts)
                self._parts.clear()
                self._take(transport, packet)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is gone."""
        self._end("the connection is closed")
        self._writable.set()

    def pause_writing(self) -> None:
        """The server reads more slowly than is written here."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    def _take(self, transport: WSTransport, packet: bytes) -> None:
        if packet.startswith(_PING):
            transport.send(_TEXT, _PONG + packet[1:])
        else:
            self._packets.append(packet)
            self._arrived.set()

    def _end(self, why: str) -> None:
        self._lost = self._lost or why
        self._arrived.set()

    # ------------------------------------------------------------ what the agent does

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Send one event. Raises LinkLost."""
        await self._say(_EVENT + _encode((event, payload)))

    async def receive(self) -> tuple[str, Any]:
        """The next event and its payload. Raises LinkLost."""
        while True:
            packet = await self._packet()
            if packet.startswith(_EVENT):
                name, *arguments = _decode(packet[packet.index(b"[") :])
                return name, arguments[0] if arguments else {}
            if packet.startswith((_DISCONNECT, _CLOSE)):
                raise LinkLost("the server closed the connection")

    def stall(self) -> None:
        """Stop reading: the connection stays open, and nobody is at this end of it any more."""
        if self._socket and not self._lost:
            self._socket.underlying_transport.pause_reading()

    def cut(self) -> None:
        """End the connection at once, without a goodbye."""
        if self._socket and not self._lost:
            self._socket.underlying_transport.abort()

    async def close(self) -> None:
        """End the connection in order."""
        if self._socket is None or self._lost:
            return
        self._socket.send(_TEXT, _DISCONNECT)
        self._socket.send_close(WSCloseCode.OK)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._socket.wait_disconnected()
        except TimeoutError:
            self.cut()

    async def _say(self, packet: bytes) -> None:
        await self._writable.wait()
        if self._socket is None or self._lost:
            raise LinkLost(self._lost)
        self._socket.send(_TEXT, packet)

    async def _packet(self) -> bytes:
        while not self._packets:
            if self._lost:
                raise LinkLost(self._lost)
            self._arrived.clear()
            await self._arrived.wait()
        return self._packets.popleft()

    async def _expect(self, kind: bytes) -> bytes:
        packet = await self._packet()
        if not packet.startswith(kind):
            raise LinkLost(f"the server refused the connection: {packet.removeprefix(_REFUSED)[:200].decode()}")
        return packet[len(kind) :]
