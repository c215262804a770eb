"""Connections that begin and do not go on, from as many addresses of this machine as one likes."""

import asyncio
import base64
import contextlib
import itertools
import os
import random
from collections.abc import Sequence

_UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n"
)
_HEAD = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
KINDS = ("silent", "slow", "upgraded")
"""It says nothing; it sends a byte of a request now and then; it is a websocket and says nothing."""
DRIBBLE_S = 1.0
AT_ONCE = 20
"""So many are opened together: the first must still be there when the last has come."""


class HalfOpen:
    """A crowd of them. ``refused`` counts those that the server turned away before their time."""

    def __init__(self, port: int, addresses: Sequence[str]) -> None:
        self._port = port
        self._addresses = itertools.cycle(addresses)
        self._kinds = itertools.cycle(KINDS)
        self._tasks: set[asyncio.Task[None]] = set()
        self.opened = 0
        self.ended: list[float] = []
        """For how long each was open that the server has ended, in seconds."""

    @property
    def open_now(self) -> int:
        """How many are held."""
        return len(self._tasks)

    async def fill(self, count: int) -> None:
        """Open more, until so many are held."""
        while (missing := count - self.open_now) > 0:
            await asyncio.gather(*(self._open() for _ in range(min(missing, AT_ONCE))))

    async def _open(self) -> None:
        kind, address = next(self._kinds), next(self._addresses)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
        self.opened += 1
        task = asyncio.create_task(self._hold(kind, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let all of them go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hold(self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        dribble: asyncio.Task[None] | None = None
        try:
            if kind == "slow":
                dribble = asyncio.create_task(_dribble(writer))
            elif kind == "upgraded":
                writer.write(_UPGRADE.format(base64.b64encode(os.urandom(16)).decode()).encode())
            with contextlib.suppress(ConnectionError):
                while await reader.read(4096):
                    pass
            self.ended.append(loop.time() - began)
        finally:
            if dribble:
                dribble.cancel()
            writer.transport.abort()


async def _dribble(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        for byte in _HEAD:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(DRIBBLE_S * random.uniform(0.5, 1.5))
