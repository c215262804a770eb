"""One Socket.IO connection of one simulated agent, on a websocket and nothing else, so that a thousand fit a process.

Unlike a library's client it can be broken on purpose: cut without a goodbye, or left open without being read.
"""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

OPEN_S = 15.0
_OPEN, _CLOSE, _PING, _PONG = "0", "1", "2", "3"
_CONNECT, _DISCONNECT, _EVENT, _REFUSED = "40", "41", "42", "44"

_NO_CONNECTION = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidURI, ValueError, KeyError)


class LinkLost(Exception):
    """There is no connection, or not any more."""


class Link:
    """An open connection; ``sid`` is its Socket.IO sid, the nonce of a registration."""

    def __init__(self, socket: ClientConnection, sid: str) -> None:
        self._socket = socket
        self.sid = sid

    @classmethod
    async def open(cls, origin: str) -> "Link":
        """Connect to the server at ``origin``. Raises LinkLost."""
        url = f"{origin.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        socket = None
        try:
            async with asyncio.timeout(OPEN_S):
                socket = await connect(url, compression=None, ping_interval=None, close_timeout=1, proxy=None)
                await _expect(socket, _OPEN)
                await socket.send(_CONNECT)
                return cls(socket, str(json.loads(await _expect(socket, _CONNECT))["sid"]))
        except BaseException as error:
            if socket is not None:
                socket.transport.abort()
            if isinstance(error, _NO_CONNECTION):
                raise LinkLost(str(error) or type(error).__name__) from None
            raise

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Send one event. Raises LinkLost."""
        try:
            await self._socket.send(_EVENT + json.dumps([event, payload], ensure_ascii=False))
        except ConnectionClosed as error:
            raise LinkLost(str(error)) from None

    async def receive(self) -> tuple[str, Any]:
        """The next event and its payload; the server's pings are answered meanwhile. Raises LinkLost."""
        try:
            while True:
                packet = await self._socket.recv()
                if not isinstance(packet, str):
                    raise LinkLost("the server sent something binary")
                if packet.startswith(_EVENT):
                    name, *arguments = json.loads(packet[packet.index("[") :])
                    return name, arguments[0] if arguments else {}
                if packet.startswith(_PING):
                    await self._socket.send(_PONG + packet[1:])
                elif packet.startswith((_DISCONNECT, _CLOSE)):
                    raise LinkLost("the server closed the connection")
        except ConnectionClosed as error:
            raise LinkLost(str(error)) from None

    def stall(self) -> None:
        """Stop reading: the connection stays open, and nobody is at this end of it any more."""
        self._socket.transport.pause_reading()

    def cut(self) -> None:
        """End the connection at once, without a goodbye."""
        self._socket.transport.abort()

    async def close(self) -> None:
        """End the connection in order."""
        try:
            await self._socket.send(_DISCONNECT)
        except ConnectionClosed:
            return
        await self._socket.close()


async def _expect(socket: ClientConnection, kind: str) -> str:
    packet = await socket.recv()
    if not isinstance(packet, str) or not packet.startswith(kind):
        why = packet if isinstance(packet, str) else "something binary"
        raise LinkLost(f"the server refused the connection: {why.removeprefix(_REFUSED)[:200]}")
    return packet[len(kind) :]
