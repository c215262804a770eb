"""Dashboards that ask for everything and read nothing: bare sockets, so that what is not read waits at the server."""

import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from deployx_protocol import events

_UPGRADE = (
    "GET /ui/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n"
)
_SMALL = 4096
_ESTABLISHED = "01"


def held(port: int) -> int:
    """How many connections of the server at ``port`` are open on its side; a peer may not know yet that one is not."""
    local = f":{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(local) and line[3] == _ESTABLISHED for line in lines)


@contextlib.asynccontextmanager
async def stalled(port: int, token: str, count: int) -> AsyncIterator[None]:
    """So many of them, with this API token."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            await _ask(connection, port, token)
        yield


async def _ask(connection: socket.socket, port: int, token: str) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, _UPGRADE.format(base64.b64encode(os.urandom(16)).decode()).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(connection, _SMALL)
        assert piece, answer
        answer += piece
    await loop.sock_sendall(connection, _text("40" + json.dumps({"token": token, "batch": True})))
    await loop.sock_sendall(connection, _text("42" + json.dumps([events.WATCH, {}])))


def _text(message: str) -> bytes:
    """A short masked text frame; the mask is zero, which leaves the text as it is."""
    content = message.encode()
    assert len(content) < 126
    return bytes([0x81, 0x80 | len(content), 0, 0, 0, 0]) + content
