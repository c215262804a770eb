"""python-socketio with its known holes closed, below the handlers.

What is closed here, each by a test: handlers run by events *named* ``connect`` or ``disconnect``; binary packets; other
namespaces; packets before and after CONNECT; ghosts left by a transport that closes while ``connect`` awaits; a
wall clock that jumps and takes every connection with it; dead peers noticed one after another; an unbounded queue for a
peer that does not read; a socket that stays open after its session was closed; tracebacks for malformed packets.

Invariant: an event is dispatched only for an accepted connection, only under a name of the allow-list, one at a time
per connection and in order.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import engineio
import msgspec
import socketio
import structlog
from engineio import packet as eio_packet
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError
from socketio import packet as sio_packet

from app.complaints import Complaints
from deployx_protocol import events

log = structlog.get_logger()

OUTGOING_MAX = 2_000
"""Packets that may wait for a peer that does not read them; then the connection is cut."""
TOO_SLOW = "peer does not read"
_FROM_CLIENTS = frozenset({eio_packet.PONG, eio_packet.MESSAGE, eio_packet.UPGRADE, eio_packet.CLOSE})


class WireJson:
    """msgspec behind the interface that python-socketio expects: strict, and it knows our structs."""

    @staticmethod
    def dumps(value: Any, **_options: Any) -> str:
        """JSON text."""
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str, **_options: Any) -> Any:
        """Plain values. Raises ValueError on anything that is not JSON."""
        return msgspec.json.decode(text)


class LinkSocket(AsyncSocket):  # type: ignore[misc]
    """An Engine.IO connection whose deadlines are timers on the monotonic clock. Made from a fresh AsyncSocket."""

    def adopt(self, complain: Callable[[str], None]) -> None:
        """Begin: what ``__init__`` would do, had the library let us choose the class. ``complain`` of this peer."""
        self._complain = complain
        self.last_ping = time.monotonic()
        self._pinged_once = False
        self._pong_deadline: asyncio.TimerHandle | None = None
        self._alive = asyncio.Event()
        self.finished = asyncio.Event()
        """Set once the websocket is closed, and all that was queued for it sent or given up."""

    async def check_ping_timeout(self) -> bool:
        """The deadline of each ping is a timer of its own; here it only matters whether the socket is open."""
        return not self.closed

    async def send(self, pkt: Any) -> None:
        """Queue a packet; cut the peer that lets too many wait."""
        if self.closed:
            return
        if self.queue.qsize() >= OUTGOING_MAX:
            await self.cut(TOO_SLOW)
            return
        self.queue.put_nowait(pkt)

    async def receive(self, pkt: Any) -> None:
        """Note signs of life before anything else; a packet that no client sends ends the connection."""
        if pkt.packet_type not in _FROM_CLIENTS:
            self._complain("an unknown transport packet")
            await self.cut(self.server.reason.SERVER_DISCONNECT)
            return
        if pkt.packet_type == eio_packet.PONG:
            self._alive.set()
            self._stop_deadline()
        await super().receive(pkt)

    async def probe(self, timeout_s: float) -> bool:
        """Whether the peer answers a ping within ``timeout_s``."""
        if self.closed or self.closing:
            return False
        self._alive.clear()
        self.queue.put_nowait(eio_packet.Packet(eio_packet.PING))
        try:
            await asyncio.wait_for(self._alive.wait(), timeout_s)
        except TimeoutError:
            return False
        return not (self.closed or self.closing)

    async def cut(self, reason: str) -> None:
        """Close the session and the transport under it, after what was queued is sent."""
        self._stop_deadline()
        await self.close(wait=False, reason=reason)
        self.queue.put_nowait(None)

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """A malformed payload is the peer's fault: 400, not a traceback."""
        try:
            await super().handle_post_request(environ)
        except EngineIOError:
            raise
        except Exception as error:
            raise EngineIOError(str(error)) from error

    async def _websocket_handler(self, ws: Any) -> None:
        try:
            await super()._websocket_handler(ws)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
            self._complain(f"malformed transport packet: {str(error)[:200]}")
        finally:
            self._stop_deadline()
            await self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
            self.finished.set()

    async def _send_ping(self) -> None:
        spread = 1.0 if self._pinged_once else random.random()  # noqa: S311 - not a secret
        self._pinged_once = True
        await asyncio.sleep(self.server.ping_interval * spread)
        if self.closing or self.closed:
            return
        self.last_ping = time.monotonic()
        self.queue.put_nowait(eio_packet.Packet(eio_packet.PING))
        loop = asyncio.get_running_loop()
        self._pong_deadline = loop.call_later(self.server.ping_timeout, self._expire)

    def _expire(self) -> None:
        self.server.start_background_task(self.cut, self.server.reason.PING_TIMEOUT)

    def _stop_deadline(self) -> None:
        if self._pong_deadline:
            self._pong_deadline.cancel()
            self._pong_deadline = None


class LinkHandler(Protocol):
    """What stands above a LinkServer."""

    async def opened(self, eio_sid: str, environ: Mapping[str, Any]) -> bool:
        """A transport opened; False refuses it."""

    async def connecting(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """A CONNECT packet came. Raises socketio.exceptions.ConnectionRefusedError to refuse it."""

    async def connected(self, sid: str) -> None:
        """The peer was told that it is connected; from now on events may be sent to it."""

    async def received(self, sid: str, name: str, args: list[Any]) -> Any:
        """An event of the allow-list; what this returns is the acknowledgement."""

    async def disconnected(self, sid: str, reason: str) -> None:
        """The connection is gone. Must not wait for anything slow."""

    async def closed(self, eio_sid: str) -> None:
        """The transport is gone, whether or not it ever connected."""


class LinkServer(socketio.AsyncServer):  # type: ignore[misc]
    """A Socket.IO server for one kind of peer. ``allowed`` are the events it takes."""

    def __init__(self, *, allowed: frozenset[str], **options: Any) -> None:
        super().__init__(
            async_mode="asgi", async_handlers=False, json=WireJson, logger=False, engineio_logger=False, **options
        )
        self._allowed = allowed
        self._handler: LinkHandler | None = None
        self._complaints = Complaints("link.refused")

    def serve(self, handler: LinkHandler) -> None:
        """Hand everything that passes the checks to ``handler``."""
        self._handler = handler
        self.on("connect", handler.connecting)
        self.on("disconnect", handler.disconnected)

    def socket(self, sid: str) -> LinkSocket | None:
        """The Engine.IO socket under a connection, while it is open."""
        eio_sid = self.manager.eio_sid_from_sid(sid, "/")
        return self.eio.sockets.get(eio_sid) if eio_sid else None

    async def cut(self, sid: str, reason: str = engineio.AsyncServer.reason.SERVER_DISCONNECT) -> None:
        """Close a connection and its transport, after what was queued for it is sent."""
        socket = self.socket(sid)
        if socket:
            await socket.cut(reason)

    async def cut_transport(self, eio_sid: str) -> None:
        """Close a transport that may never have connected."""
        socket = self.eio.sockets.get(eio_sid)
        if socket:
            await socket.cut(self.eio.reason.SERVER_DISCONNECT)

    async def finished(self, deadline_s: float) -> None:
        """Wait until every websocket has sent its last words; whoever does not read them in time is left behind."""
        open_sockets = [socket for socket in self.eio.sockets.values() if socket.upgraded]
        waits = [asyncio.create_task(socket.finished.wait()) for socket in open_sockets]
        if waits:
            _, late = await asyncio.wait(waits, timeout=deadline_s)
            for wait in late:
                wait.cancel()

    async def refuse(self, eio_sid: str, why: str) -> None:
        """Complain about a peer that breaks the protocol, and cut it."""
        self._complaints.note(source_ip(self.environ.get(eio_sid, {})), why)
        await self.cut_transport(eio_sid)

    # -------------------------------------------------------- what the library calls

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> bool | None:
        socket = self.eio.sockets[eio_sid]
        socket.__class__ = LinkSocket
        socket.adopt(partial(self._complaints.note, source_ip(environ)))
        if self._handler and not await self._handler.opened(eio_sid, environ):
            return False
        await super()._handle_eio_connect(eio_sid, environ)
        return None

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        if not isinstance(data, str):
            await self.refuse(eio_sid, "binary message")
            return
        try:
            packet = self.packet_class(encoded_packet=data)
        except Exception:
            await self.refuse(eio_sid, "malformed packet")
            return
        namespace = packet.namespace or "/"
        connected = namespace == "/" and self._is_connected(eio_sid)
        if packet.packet_type == sio_packet.CONNECT:
            if connected or (namespace == "/" and self.manager.sid_from_eio_sid(eio_sid, "/")):
                await self.refuse(eio_sid, "a second CONNECT")
                return
            await self._connect(eio_sid, namespace, packet.data)
            return
        if not connected:
            await self.refuse(eio_sid, "a packet before CONNECT, or in another namespace")
            return
        match packet.packet_type:
            case sio_packet.EVENT:
                await self._event(eio_sid, packet)
            case sio_packet.ACK if isinstance(packet.data, list):
                await self._handle_ack(eio_sid, "/", packet.id, packet.data)
            case sio_packet.DISCONNECT:
                await self._handle_disconnect(eio_sid, "/", self.reason.CLIENT_DISCONNECT)
                await self.cut_transport(eio_sid)
            case _:
                await self.refuse(eio_sid, f"packet type {packet.packet_type}")

    def _is_connected(self, eio_sid: str) -> bool:
        sid = self.manager.sid_from_eio_sid(eio_sid, "/")
        return bool(sid) and self.manager.is_connected(sid, "/")

    async def _connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        await self._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, "/") if namespace == "/" else None
        if not sid:
            return
        if eio_sid not in self.environ:  # the transport closed while we decided
            await self.manager.disconnect(sid, "/", ignore_queue=True)
            if self._handler:
                await self._handler.disconnected(sid, self.reason.TRANSPORT_CLOSE)
        elif self._handler:
            await self._handler.connected(sid)

    async def _event(self, eio_sid: str, packet: Any) -> None:
        data = packet.data
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            await self.refuse(eio_sid, "an event without a name")
            return
        name = data[0]
        if name in events.RESERVED:
            await self.refuse(eio_sid, f"an event named {name}")
            return
        sid = self.manager.sid_from_eio_sid(eio_sid, "/")
        if name not in self._allowed or self._handler is None:
            self._complaints.note(source_ip(self.environ.get(eio_sid, {})), "an unknown event")
            answer: Any = {"ok": False, "error": {"code": "unknown_event", "message": "There is no such event here."}}
        else:
            answer = await self._handler.received(sid, name, data[1:])
        if packet.id is not None:
            await self._send_packet(
                eio_sid, self.packet_class(sio_packet.ACK, namespace="/", id=packet.id, data=[answer])
            )

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        await super()._handle_eio_disconnect(eio_sid, reason)
        if self._handler:
            await self._handler.closed(eio_sid)


def source_ip(environ: Mapping[str, Any]) -> str:
    """The peer's address. ``REMOTE_ADDR`` is always 127.0.0.1 under ASGI, so it comes from the scope."""
    client = environ.get("asgi.scope", {}).get("client")
    return str(client[0]) if client else "unknown"
