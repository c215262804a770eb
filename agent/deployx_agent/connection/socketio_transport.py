"""The transport on python-socketio's client: websocket only, its own reconnection off, the retry policy is ours.

What is worked around here, as seen in python-socketio 5.18 and engineio 4.15: `connect` has no time-out for the
websocket itself; `disconnect` may leave the HTTP session and its socket open, so the session is ours and is closed by
us; `emit` only queues, and on a dead connection says nothing; the libraries' own loggers print payloads at INFO, so
they are silenced (a registration carries a token). aiohttp follows redirects: a middleware refuses any other origin
before a byte is sent there.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any

import aiohttp
import socketio

from deployx_agent.connection.resolver import Resolver
from deployx_agent.connection.transport import (
    Answer,
    Closed,
    ConnectError,
    ConnectTimeout,
    Deliver,
    Received,
    RequestError,
    SendError,
)
from deployx_agent.facts import address
from deployx_protocol import limits

_CLOSE_TIMEOUT_S = 2.0
_REQUEST_TIMEOUT_S = 60.0
_ANSWER_MAX_BYTES = limits.SCRIPT_MAX_BYTES
_NAMESPACE = "/"


def tls_context(ca_file: Path | None) -> SSLContext:
    """Verifies name, chain and dates; with ``ca_file`` that authority alone is trusted. Raises OSError, SSLError."""
    return create_default_context(cafile=str(ca_file) if ca_file else None)


class SocketIOTransport:
    """One Socket.IO connection to ``origin``."""

    def __init__(self, origin: str, tls: SSLContext | None, deliver: Deliver) -> None:
        self._origin = origin
        self._tls = tls
        self._deliver = deliver
        self._closed = False
        self._refusal = ""
        self._dialled: Any = None
        self._http: aiohttp.ClientSession | None = None
        self._client: Any = None

    async def open(self, timeout_s: float) -> None:
        """Connect, up to the answer to Socket.IO's CONNECT, which carries the nonce."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=Resolver()),
            middlewares=(self._same_origin,),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._client = self._make_client(self._http)
        try:
            async with asyncio.timeout(timeout_s):
                await self._client.connect(
                    self._origin, transports=["websocket"], namespaces=[_NAMESPACE], wait_timeout=timeout_s
                )
        except TimeoutError:
            raise ConnectTimeout(f"no connection within {timeout_s:g} s") from None
        except Exception as error:  # whatever a library or a peer comes up with, there is no connection
            raise _connect_error(error, self._refusal) from error

    @property
    def nonce(self) -> str:
        """The Socket.IO sid; empty once the connection is gone."""
        return self._client.get_sid(_NAMESPACE) or ""

    @property
    def local_address(self) -> str:
        """From the socket itself, so it is true whatever the routes say."""
        return address.plain(self._client.eio.ws.get_extra_info("sockname"))

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Queue an event; a connection that breaks before it is written ends with ``Closed``."""
        try:
            await self._client.emit(event, payload, namespace=_NAMESPACE)
        except socketio.exceptions.SocketIOError as error:
            raise SendError(str(error)) from None

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        """On the session of the websocket: the same server and trust in its certificate, no redirect elsewhere."""
        if self._http is None or self._http.closed:
            raise RequestError("the connection is closed")
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/octet-stream"}
        try:
            async with (
                asyncio.timeout(_REQUEST_TIMEOUT_S),
                self._http.request(
                    method, self._origin + path, data=body or None, headers=headers, ssl=self._tls or True
                ) as response,
            ):
                answer = bytearray()
                async for part in response.content.iter_any():
                    answer += part
                    if len(answer) > _ANSWER_MAX_BYTES:
                        raise RequestError("the answer is too long")
                return Answer(response.status, bytes(answer))
        except TimeoutError:
            raise RequestError(f"no answer within {_REQUEST_TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:  # RuntimeError: closed meanwhile
            raise RequestError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None

    async def flush(self, timeout_s: float) -> bool:
        """Wait for Engine.IO's queue to be written."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._client.eio.queue.join()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Say goodbye if the peer still listens; then close the socket whether it does or not."""
        self._closed = True
        if self._client is not None:
            # Both ends of the library's background work end with the connection; nothing may outlive this call.
            with suppress(Exception):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._client.disconnect()
            tasks = [task for task in (self._client.eio.read_loop_task, self._client.eio.write_loop_task) if task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            with suppress(Exception):
                await self._http.close()

    def _make_client(self, http: aiohttp.ClientSession) -> Any:
        options: dict[str, Any] = {"max_msg_size": limits.AGENT_MESSAGE_MAX_BYTES}
        if self._tls:
            options["ssl"] = self._tls
        client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            logger=_SILENT,
            engineio_logger=_SILENT,
            http_session=http,
            websocket_extra_options=options,
        )
        client.on("*", self._on_event)
        client.on("disconnect", self._on_disconnect)
        client.on("connect_error", self._on_connect_error)
        return client

    async def _same_origin(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        origin = request.url.origin()
        plain = origin.with_scheme({"ws": "http", "wss": "https"}.get(origin.scheme, origin.scheme))
        self._dialled = self._dialled or plain
        if plain != self._dialled:
            raise aiohttp.ClientError(f"the server redirects to {origin}, which is not the server that was asked for")
        return await handler(request)

    def _on_event(self, event: str, *arguments: Any) -> None:
        if not self._closed:
            self._deliver(Received(event, arguments[0] if arguments else None))

    def _on_disconnect(self, reason: Any = "") -> None:
        if not self._closed:
            self._closed = True
            self._deliver(Closed(str(reason) or "connection closed"))

    def _on_connect_error(self, *data: Any) -> None:
        detail = data[0] if data else ""
        self._refusal = str(detail.get("message", "") if isinstance(detail, dict) else detail)


def _connect_error(error: Exception, refusal: str) -> ConnectError:
    """The library hides what happened behind "Connection error"; the exception it handled knows."""
    cause: BaseException = error
    while deeper := cause.__cause__ or cause.__context__:
        cause = deeper
    if isinstance(cause, TimeoutError | asyncio.CancelledError):
        return ConnectTimeout("the network did not answer in time")
    if isinstance(cause, aiohttp.WSServerHandshakeError):
        return ConnectError(f"the server answered {cause.status} instead of opening a websocket")
    if isinstance(cause, OSError | aiohttp.ClientError):
        return ConnectError(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)
    return ConnectError(refusal or str(cause) or type(cause).__name__)


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("deployx.agent.socketio")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    return logger


_SILENT = _silent_logger()
