"""Files sent by the kernel: ASGI's ``http.response.zerocopysend``, which uvicorn lacks.

Not a byte of the file comes into this process, so what sending costs hardly depends on how much it is. Invariants: the
disk is read in threads of its own, never in the loop; who reads slowly holds none of them, but waits in the loop until
the socket takes more. While a file is sent nobody else writes to its connection.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MESSAGE = "http.response.zerocopysend"
SUPPORTED = sys.platform == "linux"
STEP_BYTES = 8 << 20
"""After so much a thread is given back, so that one who reads fast keeps nobody waiting."""
THREADS = 4
_LOOK_S = 2.0
"""How often a connection that takes nothing is looked at: whether it is still there."""


class ZeroCopy:
    """The threads, for all connections of a server; made when they are first needed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "sendfile")

    def offered(self, app: ASGIApp) -> ASGIApp:
        """``app``, told that it may send files so, where the connection is not encrypted by this process."""
        if not SUPPORTED:
            return app

        async def offering(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["scheme"] != "http":
                await app(scope, receive, send)
                return
            scope.setdefault("extensions", {})[MESSAGE] = {}

            async def sending(message: Message) -> None:
                if message["type"] == MESSAGE:
                    await self._send(send, message)
                else:
                    await send(message)

            await app(scope, receive, sending)

        return offering

    async def _send(self, send: Send, message: Message) -> None:
        cycle: Any = send.__self__  # type: ignore[attr-defined]  # uvicorn's, for one request
        if cycle.disconnected:
            return
        count = message["count"]
        if count > cycle.expected_content_length:
            raise RuntimeError("Response content longer than Content-Length")
        await _written(cycle)
        if cycle.disconnected or cycle.transport.is_closing():
            return
        sock: socket.socket = cycle.transport.get_extra_info("socket")
        copy = os.dup(sock.fileno())  # it stays this connection, whatever becomes of the other
        try:
            await self._copy(cycle, copy, message["file"], message["offset"], count)
        except OSError:  # the peer went away, or does not read
            cycle.transport.abort()
        finally:
            os.close(copy)
        if cycle.disconnected or cycle.transport.is_closing():
            return
        cycle.expected_content_length -= count
        if not message.get("more_body", False):
            await send({"type": "http.response.body", "body": b""})

    async def _copy(self, cycle: Any, sock: int, file: int, offset: int, count: int) -> None:
        loop = asyncio.get_running_loop()
        end = offset + count
        while offset < end and not cycle.disconnected:
            sent, full = await loop.run_in_executor(
                self._threads, _push, sock, file, offset, min(STEP_BYTES, end - offset)
            )
            offset += sent
            if full:
                await _writable(loop, sock, lambda: cycle.disconnected)


def _push(sock: int, file: int, offset: int, count: int) -> tuple[int, bool]:
    """How much the socket took, and whether it takes no more now. Raises OSError."""
    sent = 0
    while sent < count:
        try:
            more = os.sendfile(sock, file, offset + sent, count - sent)
        except BlockingIOError:
            return sent, True
        if not more:
            raise OSError("the file has become shorter")
        sent += more
    return sent, False


async def _written(cycle: Any) -> None:
    """Wait until all that was written before, the head of the answer, is the kernel's."""
    cycle.transport.set_write_buffer_limits(high=0)
    try:
        await cycle.flow.drain()
    finally:
        cycle.transport.set_write_buffer_limits()


async def _writable(loop: asyncio.AbstractEventLoop, sock: int, over: Callable[[], bool]) -> None:
    ready = asyncio.Event()
    loop.add_writer(sock, ready.set)
    try:
        while not ready.is_set() and not over():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await ready.wait()
    finally:
        loop.remove_writer(sock)
