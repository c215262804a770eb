"""The end of a server whose peer has just said goodbye."""

import asyncio
import base64
import os
import socket
from typing import Any

import pytest
import uvicorn
from websockets.frames import Frame, Opcode

from app.serve import uvicorn_config
from app.settings import Settings
from app.websocket import text_frame

_MORE_THAN_BUFFERS_HOLD = b"x" * (16 << 20)
_CLOSE_FRAME = bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big")


async def test_a_peer_that_is_leaving_does_not_break_the_servers_end() -> None:
    heard: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            ended.set()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": _MORE_THAN_BUFFERS_HOLD})
        heard.set_result(await receive())

    config = uvicorn_config(app, Settings())
    config.timeout_graceful_shutdown = 1  # the peer below never reads: nothing would come of waiting
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_CLOSE_FRAME)
        async with asyncio.timeout(30):
            assert (await heard)["type"] == "websocket.disconnect"
            assert server.server_state.connections, "what the peer does not read keeps its connection"
            server.should_exit = True
            await serving
    assert ended.is_set()
    writer.transport.abort()


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_what_the_library_would_send(size: int) -> None:
    text = b"x" * size
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)
