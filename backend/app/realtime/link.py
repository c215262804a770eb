"""python-socketio with its known holes closed, below the handlers.

What is closed here, each by a test: handlers run by events *named* ``connect`` or ``disconnect``; binary packets; other
namespaces; packets before and after CONNECT; a ``connect`` that is cancelled, and then counts as accepted; ghosts left
by a transport that closes while ``connect`` awaits; a wall clock that jumps, or a server that stood still, and takes
every connection with it; dead peers noticed one after another; an unbounded queue for a peer that does not read; a
socket that stays open after its session was closed; tracebacks for malformed packets.

Invariant: an event is dispatched only for an accepted connection, only under a name of the allow-list, one at a time
per connection and in order.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import msgspec
import socketio
import structlog
from socketio import packet as sio_packet
from socketio.exceptions import ConnectionRefusedError as Refusal

from app.complaints import Complaints
from app.realtime.answers import UNKNOWN_EVENT
from app.realtime.link_socket import LinkSocket, Text
from app.realtime.reasons import Reason
from app.websocket import EXTENSION
from deployx_protocol import events

log = structlog.get_logger()


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


class LinkHandler(Protocol):
    """What stands above a LinkServer."""

    def opened(self, eio_sid: str, environ: Mapping[str, Any]) -> bool:
        """A transport opened; False refuses it."""

    async def connecting(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """A CONNECT packet came. Raises socketio.exceptions.ConnectionRefusedError to refuse it."""

    async def connected(self, sid: str) -> None:
        """The peer was told that it is connected; from now on events may be sent to it."""

    async def received(self, sid: str, name: str, args: list[Any]) -> Any:
        """An event of the allow-list; what this returns is the acknowledgement."""

    async def disconnected(self, sid: str, reason: str) -> None:
        """The connection is gone. Must not wait for anything slow."""

    def closed(self, eio_sid: str) -> None:
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
        self.on("connect", self._decide)
        self.on("disconnect", handler.disconnected)

    def transport_id(self, sid: str) -> str:
        """The Engine.IO sid under a connection; empty when it is gone."""
        return self.manager.eio_sid_from_sid(sid, "/") or ""

    def socket(self, sid: str) -> LinkSocket | None:
        """The Engine.IO socket under a connection, while it is open."""
        socket: LinkSocket | None = self.eio.sockets.get(self.transport_id(sid))
        return socket

    async def tell(self, sid: str, event: str, payload: Any) -> None:
        """Send an event to one connection, if it is open: ``emit`` without a task, and without a search for bytes."""
        socket = self.socket(sid)
        if socket:
            await socket.send_text(_text(event, payload))

    async def tell_room(self, room: str, event: str, payload: Any) -> None:
        """Send an event to all connections in ``room``, encoded once."""
        text = _text(event, payload)
        for _, eio_sid in self.manager.get_participants("/", room):
            socket: LinkSocket | None = self.eio.sockets.get(eio_sid)
            if socket:
                await socket.send_text(text)

    async def cut(self, sid: str, reason: str = Reason.SERVER_DISCONNECT) -> None:
        """Close a connection and its transport, after what was queued for it is sent."""
        socket = self.socket(sid)
        if socket:
            await socket.cut(reason)

    async def cut_transport(self, eio_sid: str) -> None:
        """Close a transport that may never have connected."""
        socket = self.eio.sockets.get(eio_sid)
        if socket:
            await socket.cut(Reason.SERVER_DISCONNECT)

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
        websocket = environ["asgi.scope"].get("extensions", {}).get(EXTENSION)
        socket.adopt(partial(self._complaints.note, source_ip(environ)), websocket)
        if self._handler and not self._handler.opened(eio_sid, environ):
            return False
        await super()._handle_eio_connect(eio_sid, environ)
        return None

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        if eio_sid not in self.environ:  # the transport was closed while this was on its way
            return
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
                await self._handle_disconnect(eio_sid, "/", Reason.CLIENT_DISCONNECT)
                await self.cut_transport(eio_sid)
            case _:
                await self.refuse(eio_sid, f"packet type {packet.packet_type}")

    def _is_connected(self, eio_sid: str) -> bool:
        sid = self.manager.sid_from_eio_sid(eio_sid, "/")
        return bool(sid) and self.manager.is_connected(sid, "/")

    async def _decide(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        assert self._handler is not None
        try:
            await self._handler.connecting(sid, environ, auth)
        except asyncio.CancelledError:  # which the library would take for a yes
            raise Refusal("unavailable") from None

    async def _connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        await self._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, "/") if namespace == "/" else None
        if not sid:
            return
        if eio_sid not in self.environ:  # the transport closed while we decided
            await self.manager.disconnect(sid, "/", ignore_queue=True)
            if self._handler:
                await self._handler.disconnected(sid, Reason.TRANSPORT_CLOSE)
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
            answer: Any = UNKNOWN_EVENT
        else:
            answer = await self._handler.received(sid, name, data[1:])
        if packet.id is not None:
            await self._send_packet(
                eio_sid, self.packet_class(sio_packet.ACK, namespace="/", id=packet.id, data=[answer])
            )

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        await super()._handle_eio_disconnect(eio_sid, reason)
        if self._handler:
            self._handler.closed(eio_sid)


def _text(event: str, payload: Any) -> Text:
    return Text(b"%d%b" % (sio_packet.EVENT, msgspec.json.encode((event, payload))))


def source_ip(environ: Mapping[str, Any]) -> str:
    """The peer's address. ``REMOTE_ADDR`` is always 127.0.0.1 under ASGI, so it comes from the scope."""
    client = environ.get("asgi.scope", {}).get("client")
    return str(client[0]) if client else "unknown"
