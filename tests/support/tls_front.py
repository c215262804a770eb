"""What stands in front of a server with TLS, as nginx does: it answers handshakes also while that one is down."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.scripted_peer import Peer
from tests.support.server_process import ServerProcess


@asynccontextmanager
async def front(
    peer: Peer | ServerProcess, context: ssl.SSLContext, listening: socket.socket | None = None
) -> AsyncIterator[int]:
    """What ends TLS before ``peer``, and goes on answering handshakes when it is down; its port, here or at the socket
    that is given."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", peer.port)
        except OSError:
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        await asyncio.gather(pump(reader, back), pump(onward, writer))

    sock = listening or socket.create_server(("127.0.0.1", 0))
    server = await asyncio.start_server(join, sock=sock, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
