"""The transport: Engine.IO 4 and Socket.IO 5 over one websocket, the default namespace, and requests beside it.

Any Socket.IO server understands it; ``packets`` says what is spoken. Invariants: events are delivered in the order in
which they came, in the step in which they came; a server from which nothing comes for as long as it promised to ask
(ping interval and time-out together) ends the connection; a packet that breaks the protocol does so at once.
"""

import asyncio
import time
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any

from deployx_agent.connection import websocket
from deployx_agent.connection.transport import (
    Answer,
    Closed,
    ConnectError,
    ConnectTimeout,
    Deliver,
    Received,
    RequestError,
    SendError,
    Sink,
)
from deployx_agent.connection.wire import Wire
from deployx_agent.facts import address
from deployx_protocol import packets
from deployx_protocol.packets import PacketError

_TARGET = f"/socket.io/?EIO={packets.REVISION}&transport=websocket"
_SID_MAX = 128


def tls_context(ca_file: Path | None) -> SSLContext:
    """Verifies name, chain and dates; with ``ca_file`` that authority alone is trusted. Raises OSError, SSLError."""
    return create_default_context(cafile=str(ca_file) if ca_file else None)


class SocketIOTransport:
    """One Socket.IO connection to ``origin``."""

    def __init__(self, origin: str, tls: SSLContext | None, deliver: Deliver) -> None:
        self._origin = origin
        self._tls = tls
        self._deliver = deliver
        self._wire = Wire(self._take, self._ended)
        self._http: Any = None
        self._entered: asyncio.Future[str] | None = None
        self._nonce = ""
        self._why = ""
        """Why the connection is gone; empty while it is not."""
        self._closed = False
        self._patience_s = 0.0
        self._heard_at = 0.0
        self._silence: asyncio.TimerHandle | None = None

    async def open(self, timeout_s: float) -> None:
        """Connect, up to the answer to Socket.IO's CONNECT, which carries the nonce."""
        self._entered = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._wire.open(self._origin, _TARGET, self._tls)
                self._nonce = await self._entered
        except TimeoutError as error:
            said = "the network did not answer in time" if error.errno else f"no connection within {timeout_s:g} s"
            raise ConnectTimeout(said) from None
        except (OSError, UnicodeError) as error:  # ssl.SSLError is an OSError
            raise ConnectError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error

    @property
    def nonce(self) -> str:
        """The Socket.IO sid; empty once the connection is gone."""
        return "" if self._why else self._nonce

    @property
    def local_address(self) -> str:
        """From the socket itself, so it is true whatever the routes say."""
        return address.plain(self._wire.local_address)

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Queue an event; a connection that breaks before it is written ends with ``Closed``."""
        if self._why or self._closed:
            raise SendError(self._why or "the connection is closed")
        try:
            self._wire.send(packets.encode(packets.Event(event, [payload])))
        except PacketError as error:
            raise SendError(str(error)) from None

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        """To the same server, with the same trust in its certificate; no redirect is followed."""
        if self._closed:
            raise RequestError("the connection is closed")
        if self._http is None:
            from deployx_agent.connection.http import Http

            self._http = Http(self._origin, self._wire.peer, self._tls)
        answer: Answer = await self._http.request(method, path, bearer, body)
        return answer

    async def download(self, path: str, bearer: str, begin: int, sink: Sink) -> None:
        """From the same server, or from where it says that the bytes are. It goes on when this connection ends."""
        from deployx_agent.connection.downloads import download

        if self._closed:
            raise RequestError("the connection is closed")
        await download(self._origin, self._wire.peer, self._tls, path, bearer, begin, sink)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until the system has taken everything."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wire.written()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Say goodbye if the peer still listens; then close the socket whether it does or not."""
        said = self._nonce and not self._why
        self._closed = True
        if self._silence:
            self._silence.cancel()
        if self._http is not None:
            self._http.close()
        if said:
            self._wire.send(packets.encode(packets.Disconnect()))
        await self._wire.close()

    # -------------------------------------------------------- what comes

    def _take(self, raw: bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            packet = packets.decode(raw)
            if self._nonce:
                self._go_on(packet)
            else:
                self._enter(packet)
        except PacketError as error:
            if error.why is not packets.Why.RESERVED:  # an event that nobody here listens for, like others
                self._wire.fail(f"the server breaks the protocol: {error}")

    def _go_on(self, packet: packets.Packet) -> None:
        match packet:
            case packets.Event(name, args, ack_id):
                self._deliver(Received(name, args[0] if args else None))
                if ack_id is not None:
                    self._wire.send(packets.encode(packets.Ack(ack_id)))
            case packets.Ping():
                self._wire.send(packets.PONG)
            case packets.Ack():
                pass  # nothing is asked for, so it answers nothing
            case packets.Disconnect() | packets.Close():
                self._wire.fail("the server ended the session", websocket.GOING)
            case _:
                raise PacketError(packets.Why.TYPE, "This packet does not belong here.")

    def _enter(self, packet: packets.Packet) -> None:
        """The way in: the server's handshake, our CONNECT, its answer."""
        match packet:
            case packets.Open() if not self._patience_s:
                self._patience_s = (packet.ping_interval_ms + packet.ping_timeout_ms) / 1000
                self._await_sound()
                self._wire.send(packets.encode(packets.Connect()))
            case packets.Connect(data) if self._patience_s:
                sid = (data or {}).get("sid")
                if not isinstance(sid, str) or not 0 < len(sid) <= _SID_MAX:
                    raise PacketError(packets.Why.MALFORMED, "The server does not say what it calls this connection.")
                self._nonce = sid
                if self._entered is not None and not self._entered.done():
                    self._entered.set_result(sid)
            case packets.ConnectError(data) if self._patience_s:
                said = data.get("message") if isinstance(data, dict) else data
                self._wire.fail(str(said or "the server refused the connection"), websocket.GOING)
            case packets.Ping():
                self._wire.send(packets.PONG)
            case _:
                raise PacketError(packets.Why.TYPE, "This packet does not belong here.")

    def _await_sound(self) -> None:
        """Look again when the silence would be too long. Not moved with each packet: that would cost more than it."""
        loop = asyncio.get_running_loop()
        ends = self._heard_at + self._patience_s
        if time.monotonic() >= ends:
            self._wire.fail(f"nothing came from the server for {self._patience_s:g} s")
        else:
            self._silence = loop.call_at(ends, self._await_sound)

    def _ended(self, why: str) -> None:
        self._why = why
        if self._silence:
            self._silence.cancel()
        if self._entered is not None and not self._entered.done():
            self._entered.set_exception(ConnectError(why))
            self._entered.exception()  # seen, even if nobody waits: what failed before it is said instead
        elif self._nonce:
            self._deliver(Closed(why))
