"""How a connection comes from uvicorn, whose port it is, to the link: it changes hands at the handshake.

Invariant: only what is for the agents' link for certain is taken; everything else goes on to the application.
"""

import asyncio
import functools
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # its stub leaves it out
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.realtime.agentlink.connection import MESSAGE_WALL_BYTES, AgentConnection
from app.realtime.agentlink.server import AgentLink
from app.realtime.agentlink.steps import at_once
from deployx_protocol import packets

PATH = b"/socket.io/"
READ_BUFFER_BYTES = 2048
"""To begin with; it grows to what a message needs."""
_ROOM_LEFT = 300
"""If less is free after a read, picows gives itself more room."""
_FIRST_LINE = b"GET %b?" % PATH
_FIRST = re.compile(rb"GET (\S+) HTTP/1\.1")
_FIELD = re.compile(rb"([\w-]+): *([\x20-\x7e]*)")
_BODY = (b"content-length", b"transfer-encoding")
_YES = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n%b"
)
_NEEDED = (b"sec-websocket-key", b"sec-websocket-version")


class _Silent:
    """A logger that hears nothing: picows would say of each connection that it came and went, as we do."""

    def isEnabledFor(self, _level: int) -> bool:
        return False

    def _nothing(self, *_args: Any, **_more: Any) -> None:
        """Say nothing."""

    log = debug = info = warning = error = exception = _nothing


_SILENT = _Silent()


class _Nobody(asyncio.Protocol):
    """Who hears nothing."""


_NOBODY = _Nobody()


_get_buffer: Callable[[Any, int], memoryview] = WSProtocol.get_buffer


class _Protocol(WSProtocol):  # type: ignore[misc]  # as its stub leaves it out
    """picows, but of what has come it reads no more at a time than it has room for.

    It doubles its buffer, for good, whenever a read has filled nine tenths of it: it takes that for a message that
    needs the room. Most often there is only much to read. So it is offered less, but for a message that does need it.
    """

    __slots__ = ("_left", "_size")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._measure(len(_get_buffer(self, -1)))

    def get_buffer(self, hint: int) -> memoryview:
        """Where to put what comes next."""
        room = _get_buffer(self, hint)
        free = len(room)
        if free > self._size:  # it was doubled when it was full, so more is free now than all was before
            self._measure(self._size * 2)
        left = self._left
        return room[: free - left if free > left else free - 1]  # with all, as much would be free as all was before

    def _measure(self, size: int) -> None:
        self._size = size
        self._left = max(size // 10, _ROOM_LEFT)


class _Door:
    """A transport, and its socket, as picows gets to see them: the options that it would set are set already, and what
    it would ask is for its log alone. uvloop opens the socket anew for each of them."""

    __slots__ = ("_transport", "get_write_buffer_size", "write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.write = transport.write
        self.get_write_buffer_size = transport.get_write_buffer_size

    def get_extra_info(self, name: str) -> Any:
        if name == "socket":
            return self
        return self._transport.get_extra_info(name) if name == "ssl_object" else None

    def fileno(self) -> int:
        return self._transport.get_extra_info("socket").fileno()  # type: ignore[no-any-return]

    def setsockopt(self, *_option: int) -> None:
        """It is set."""

    def getsockopt(self, *_option: int) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Yes(WSUpgradeResponse):
    """The answer to a handshake that is as it should be; ``first``, a frame, goes right behind it."""

    __slots__ = ()

    def __init__(self, first: bytes) -> None:
        self.status = HTTPStatus.SWITCHING_PROTOCOLS
        self.headers = {}  # type: ignore[assignment]  # picows adds one
        self.body = first

    def to_bytes(self) -> bytearray:
        """What is sent."""
        return bytearray(_YES % (self.headers["Sec-WebSocket-Accept"].encode(), self.body))


class Handover:
    """Takes over connections for ``link``. Behind ``trusted_proxies`` an address is what they say it is."""

    def __init__(self, link: AgentLink, trusted_proxies: list[str] | str) -> None:
        self._link = link
        self._proxies = ProxyHeadersMiddleware(_nothing, trusted_proxies) if trusted_proxies else None

    def wants(self, url: bytes) -> bool:
        """Whether this is a first handshake of an agent: a websocket, and not the upgrade of an older session."""
        path, _, query_string = url.partition(b"?")
        return path == PATH and _is_first(query_string)

    def takes_at_once(self, transport: asyncio.Transport, head: bytes) -> bool:
        """Take the connection if ``head``, all that came so far, is a whole first handshake as agents write it.

        Everything else is left to a parser of HTTP, which costs more: what it finds comes to ``take``.
        """
        if not head.startswith(_FIRST_LINE) or not head.endswith(b"\r\n\r\n"):
            return False
        line, *rest = head[:-4].split(b"\r\n")
        target = _FIRST.fullmatch(line)
        headers = {field[1].lower(): field[2] for field in map(_FIELD.fullmatch, rest) if field}
        if (
            target is None
            or not self.wants(target[1])
            or len(headers) != len(rest)  # one that is no header, or one that is there twice
            or headers.get(b"upgrade") != b"websocket"
            or b"upgrade" not in headers.get(b"connection", b"").lower()
            or not headers.keys().isdisjoint(_BODY)
        ):
            return False
        peer = transport.get_extra_info("peername") or ()
        if any(peer[3:]):  # uvloop leaves out the zone of a link-local address
            return False
        self.take(transport, {"type": "http", "headers": headers.items(), "client": peer})
        return True

    def take(self, transport: asyncio.Transport, scope: Mapping[str, Any]) -> None:
        """The connection is the link's from now on; its handshake is answered."""
        connection = AgentConnection(self._link, self._address(scope))

        def listener(_request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            if self._link.admits(connection):
                return WSUpgradeResponseWithListener(_Yes(self._link.opening(connection)), connection)
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(503), None)

        protocol = _Protocol(
            None,
            None,
            False,
            listener,
            _SILENT,
            True,
            None,
            False,
            0,
            0,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,
            MESSAGE_WALL_BYTES,
            None,
            READ_BUFFER_BYTES,
        )
        protocol.connection_made(_Door(transport))
        transport.set_protocol(_NOBODY)  # uvloop remembers who was told of bytes before a protocol like picows's
        transport.set_protocol(protocol)
        _feed(protocol, _handshake(scope))
        self._link.settle(connection)

    def _address(self, scope: Mapping[str, Any]) -> str:
        """The peer's address, by the same rules that hold for HTTP."""
        seen: Any = dict(scope)
        if self._proxies:
            at_once(self._proxies(seen, None, None))  # type: ignore[arg-type]  # it hands them on to `_nothing`
        return str(seen["client"][0]) if seen.get("client") else "unknown"


@functools.lru_cache(maxsize=16)  # a client asks in one way, whoever it is
def _is_first(query_string: bytes) -> bool:
    query = parse_qs(query_string.decode("latin-1"))
    return (
        query.get("transport") == ["websocket"] and query.get("EIO") == [str(packets.REVISION)] and "sid" not in query
    )


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """An application that is only told who asks."""


def _handshake(scope: Mapping[str, Any]) -> bytes:
    """The request once more, without what the handshake does not need. That it asks for a websocket is known."""
    head = b"".join(b"%b: %b\r\n" % (name, value) for name, value in scope["headers"] if name in _NEEDED)
    return b"GET %b HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n%b\r\n" % (PATH, head)


def _feed(protocol: Any, raw: bytes) -> None:
    """Give ``raw`` to the protocol as if it had come from the network."""
    while raw:
        room = protocol.get_buffer(-1)
        count = min(len(room), len(raw))
        room[:count] = raw[:count]
        protocol.buffer_updated(count)
        raw = raw[count:]
