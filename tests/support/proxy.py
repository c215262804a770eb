"""A TCP proxy that can lose what one side says, as a broken network does: nothing arrives and nothing closes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

_CHUNK = 65_536


class Proxy:
    """Between agents and a server. ``drop_…`` swallows bytes silently, ``cut_after_bytes`` of the server's end each
    connection (0: they do not)."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.url = ""
        self.drop_to_server = False
        self.drop_to_agent = False
        self.connections = 0
        self.cut_after_bytes = 0
        self.to_agent_bytes = 0
        """How much has come from the server, over all connections."""
        self._listener: asyncio.Server
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def heal(self) -> None:
        """Let everything pass again. What was swallowed stays lost."""
        self.drop_to_server = self.drop_to_agent = False

    def partition(self) -> None:
        """Nothing passes, in neither direction, and nobody is told."""
        self.drop_to_server = self.drop_to_agent = True

    async def stop(self) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await self._listener.wait_closed()

    async def upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server. Raises OSError."""
        return await asyncio.open_connection("127.0.0.1", self.server_port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            up_reader, up_writer = await self.upstream()
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(up_writer)
        for name, source, target in (("drop_to_server", reader, up_writer), ("drop_to_agent", up_reader, writer)):
            task = asyncio.create_task(self._forward(name, source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, dropping: str, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        left, counted = self.cut_after_bytes or 1 << 60, dropping == "drop_to_agent"
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if counted:
                    data, left = data[:left], left - len(data)
                    self.to_agent_bytes += len(data)
                if not getattr(self, dropping):
                    target.write(data)
                    await target.drain()
                if left <= 0:
                    break
        while getattr(self, dropping):  # a goodbye is lost as well
            await asyncio.sleep(0.02)
        target.transport.abort()


@contextlib.asynccontextmanager
async def proxying(server_port: int) -> AsyncIterator[Proxy]:
    """A running proxy."""
    proxy = Proxy(server_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
