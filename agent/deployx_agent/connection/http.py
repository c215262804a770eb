"""Requests to the server beside the websocket: scripts, and output that is too large for events.

The standard library's client in a thread: requests are rare, and what it costs is paid by the first of them. The server
is not looked up again: of several behind one name, the one that has the websocket is asked. One connection is kept for
the next request, for less time than servers keep theirs.
"""

import asyncio
import http.client
import socket
from contextlib import suppress
from ssl import SSLContext, SSLEOFError, SSLZeroReturnError
from urllib.parse import urlsplit

from deployx_agent.connection.background import in_thread
from deployx_agent.connection.transport import Answer, RequestError
from deployx_protocol import limits

REQUEST_TIMEOUT_S = 60.0
_ANSWER_MAX_BYTES = limits.SCRIPT_MAX_BYTES
_KEPT_S = 4.0


class Http:
    """Requests to ``origin``, at the address ``peer``. Redirects are answers like others: nothing is sent elsewhere."""

    def __init__(self, origin: str, peer: tuple[str, int], tls: SSLContext | None) -> None:
        self._address = urlsplit(origin)
        self._peer = peer
        self._tls = tls
        self._closed = False
        self._used: set[http.client.HTTPConnection] = set()
        self._kept: http.client.HTTPConnection | None = None
        self._expiry: asyncio.TimerHandle | None = None

    async def request(self, method: str, path: str, bearer: str, body: bytes) -> Answer:
        """The answer. Raises RequestError."""
        if self._closed:
            raise RequestError("the connection is closed")
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/octet-stream"}
        kept, self._kept = self._kept, None
        connection = kept or self._connection()
        self._used.add(connection)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                answer = await in_thread(lambda: self._ask(connection, method, path, body, headers), "request")
            self._keep(connection)
            return answer
        except TimeoutError:
            raise RequestError(f"no answer within {REQUEST_TIMEOUT_S:g} s") from None
        except (http.client.HTTPException, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise RequestError("the connection is closed" if self._closed else why) from None
        finally:
            self._used.discard(connection)
            if connection is not self._kept:
                _cut(connection)

    def close(self) -> None:
        """End what is under way, and what was kept."""
        self._closed = True
        self._let_go()
        for connection in self._used:
            _cut(connection)

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        return kind(self._address.hostname or "", self._address.port)

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is None:
            return
        if self._closed:
            connection.close()
            return
        self._let_go()
        self._kept = connection
        self._expiry = asyncio.get_running_loop().call_later(_KEPT_S, self._let_go)

    def _let_go(self) -> None:
        if self._expiry:
            self._expiry.cancel()
        if self._kept:
            self._kept.close()
        self._kept = None

    # -------------------------------------------------------- in the thread

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> Answer:
        try:
            with self._response(connection, method, path, body, headers) as response:
                found = response.read(_ANSWER_MAX_BYTES + 1)
                if len(found) > _ANSWER_MAX_BYTES:
                    raise ValueError("the answer is too long")
                if response.length:
                    raise http.client.IncompleteRead(b"", response.length)
                return Answer(response.status, found)
        except BaseException:
            connection.close()
            raise

    def _response(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        """A server may end a kept connection while we write to it: then once more, on a new one."""
        was_kept = connection.sock is not None
        try:
            if not was_kept:
                self._open(connection)
            connection.request(method, path, body or None, headers)
            return connection.getresponse()
        except (ConnectionError, SSLEOFError, SSLZeroReturnError):  # RemoteDisconnected is a ConnectionError
            connection.close()
            if not was_kept or self._closed:
                raise
        return self._response(connection, method, path, body, headers)

    def _open(self, connection: http.client.HTTPConnection) -> None:
        sock = socket.create_connection(self._peer, REQUEST_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock = self._tls.wrap_socket(sock, server_hostname=connection.host) if self._tls else sock


def _cut(connection: http.client.HTTPConnection) -> None:
    """End it under the hands of the thread that waits for it; that thread closes it."""
    if (sock := connection.sock) is not None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the TLS socket's own: it would pull the rug away
