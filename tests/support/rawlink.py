"""A websocket that speaks Engine.IO by hand: for what no Socket.IO client would send, and for very many connections."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

ANSWER_S = 15.0


class RawLink:
    """One connection. Pings are answered while something is awaited."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.sid = ""
        self.received: list[str | bytes] = []
        """Every message that came, as it came."""

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, url: str, path: str = "/socket.io/", **options: Any) -> AsyncIterator["RawLink"]:
        """The Engine.IO connection alone, before any Socket.IO CONNECT."""
        address = f"{url.replace('http', 'ws', 1)}{path}?EIO=4&transport=websocket"
        async with websockets.connect(
            address, compression=None, ping_interval=None, open_timeout=ANSWER_S, close_timeout=1, **options
        ) as socket:
            link = cls(socket)
            assert str(await link._receive()).startswith("0")
            yield link

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls, url: str, path: str = "/socket.io/", auth: Any = None, **options: Any
    ) -> AsyncIterator["RawLink"]:
        """Connected to the default namespace."""
        async with cls.opened(url, path, **options) as link:
            refusal = await link.enter(auth)
            assert refusal is None, refusal
            yield link

    async def enter(self, auth: Any = None) -> str | None:
        """Ask for the default namespace; why that was refused, None if it was not."""
        await self.send("40" + (json.dumps(auth) if auth is not None else ""))
        answer = await self._packet()
        assert answer, "the connection ended"
        told = json.loads(answer[2:])
        if answer.startswith("44"):
            return str(told["message"])
        self.sid = told["sid"]
        return None

    async def send(self, message: str | bytes) -> None:
        """Send one websocket message, unless the connection is gone."""
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._socket.send(message)

    async def emit(self, event: str, payload: Any) -> None:
        """Send one event."""
        await self.send("42" + json.dumps([event, payload], ensure_ascii=False))

    async def event(self, *names: str) -> tuple[str, Any]:
        """The next event under one of ``names``; others are passed over."""
        while True:
            found = await self.event_or_end()
            assert found is not None, f"the connection ended before {names}"
            if found[0] in names:
                return found

    async def event_or_end(self) -> tuple[str, Any] | None:
        """The next event; None when the connection ended."""
        while True:
            packet = await self._packet()
            if packet is None:
                return None
            if packet.startswith("42"):
                name, *arguments = json.loads(packet[2:])
                return name, arguments[0] if arguments else None

    async def alive(self) -> bool:
        """Whether the server still answers here; what it says meanwhile is passed over."""
        await self.send('420["ping",{}]')
        while True:
            packet = await self._packet()
            if packet is None:
                return False
            if packet.startswith("430"):
                return True

    async def pinged(self) -> None:
        """Wait for the server's next ping, and leave it unanswered; ``pong`` answers."""
        while (message := await self._receive()) != "2":
            assert message is not None, "the connection ended"

    async def pong(self) -> None:
        """Answer a ping."""
        await self.send("3")

    def abort(self) -> None:
        """Vanish: the TCP connection is reset, nothing is said."""
        self._socket.transport.abort()

    async def close(self) -> None:
        """Close the websocket in order."""
        await self._socket.close()

    async def _packet(self) -> str | None:
        while True:
            message = await self._receive()
            if message is None or message == "1":
                return None
            if message == "2":
                await self.pong()
            elif isinstance(message, str) and message.startswith("4"):
                return message

    async def _receive(self) -> str | bytes | None:
        try:
            message = await asyncio.wait_for(self._socket.recv(), ANSWER_S)
        except websockets.ConnectionClosed:
            return None
        self.received.append(message)
        return message
