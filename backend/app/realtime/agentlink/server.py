"""The link as a whole: which connections there are, under which ids, and what is done with all of them."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Protocol

from socketio.exceptions import ConnectionRefusedError

from app.complaints import Complaints
from app.realtime.agentlink.connection import AgentConnection
from app.realtime.agentlink.deadlines import Deadlines
from app.realtime.agentlink.steps import begin
from app.realtime.agentlink.turns import Turns
from app.realtime.link import LinkHandler
from app.realtime.reasons import Reason
from app.websocket import text_frame
from deployx_protocol import limits, packets
from deployx_protocol.messages import Pong

_ID_BYTES = 15


class AgentHandler(LinkHandler, Protocol):
    """What stands above the agents' links."""

    def beat(self, sid: str) -> Pong | None:
        """A plain heartbeat came: the answer; None if it is to be taken as any other event."""


class AgentLink:
    """Connections by websocket. ``allowed`` are the events that are taken; ``refused`` counts packets that are not."""

    handler: AgentHandler

    def __init__(
        self,
        *,
        allowed: frozenset[str],
        ping_interval_s: float,
        ping_timeout_s: float,
        refused: Callable[[packets.Why], None],
    ) -> None:
        self.allowed = allowed
        self.deadlines = Deadlines(ping_interval_s, ping_timeout_s)
        self.turns = Turns()
        self._refused = refused
        self._complaints = Complaints("link.refused")
        self._interval_ms = round(ping_interval_s * 1000)
        self._timeout_ms = round(ping_timeout_s * 1000)
        self._by_sid: dict[str, AgentConnection] = {}
        self._by_transport: dict[str, AgentConnection] = {}
        self._all_gone = asyncio.Event()
        self._sockets: set[AgentConnection] = set()

    def serve(self, handler: AgentHandler) -> None:
        """Hand everything that passes the checks to ``handler``."""
        self.handler = handler

    @staticmethod
    def new_id() -> str:
        """An id that nobody guesses, of 20 characters."""
        return secrets.token_urlsafe(_ID_BYTES)

    # ------------------------------------------------------------ what those above ask for

    def connection(self, sid: str) -> AgentConnection | None:
        """The connection with this Socket.IO sid, while it is open."""
        return self._by_sid.get(sid)

    def transport(self, transport_id: str) -> AgentConnection | None:
        """The connection with this Engine.IO sid, while it is open."""
        return self._by_transport.get(transport_id)

    async def finished(self, deadline_s: float) -> None:
        """Wait until every connection has sent its last words; whoever does not read them in time is left behind."""
        if self._sockets:
            self._all_gone.clear()
            try:
                await asyncio.wait_for(self._all_gone.wait(), deadline_s)
            except TimeoutError:
                return

    async def shutdown(self) -> None:
        """Close what is still open."""
        for connection in list(self._by_transport.values()):
            connection.cut(Reason.SERVER_DISCONNECT, graceful=False)
        self.deadlines.close()

    # ------------------------------------------------------------ what connections tell

    def admits(self, connection: AgentConnection) -> bool:
        """Whether a websocket may be opened."""
        return self.handler.opened(connection.transport_id, connection.environ)

    def settle(self, connection: AgentConnection) -> None:
        """Its handshake was answered: forget a connection that was admitted and did not open after all."""
        if connection.transport_id not in self._by_transport:
            self.handler.closed(connection.transport_id)

    def opening(self, connection: AgentConnection) -> bytes:
        """The frame that says, in Engine.IO's words, that a websocket is open."""
        opening = packets.Open(
            connection.transport_id, self._interval_ms, self._timeout_ms, limits.AGENT_MESSAGE_MAX_BYTES
        )
        return text_frame(packets.encode(opening))

    def opened(self, connection: AgentConnection) -> None:
        """A websocket is open, and its peer was told."""
        self._sockets.add(connection)
        self._by_transport[connection.transport_id] = connection
        self.deadlines.add(connection)

    async def enter(self, connection: AgentConnection, data: Any) -> None:
        """A CONNECT packet came: let it in."""
        self._by_sid[connection.sid] = connection
        try:
            await self.handler.connecting(connection.sid, connection.environ, data)
        except ConnectionRefusedError as refusal:
            connection.say(packets.encode(packets.ConnectError({"message": str(refusal)})))
            connection.cut(Reason.SERVER_DISCONNECT)
            return
        if connection.closed:  # it went while that was decided
            await self.handler.disconnected(connection.sid, Reason.TRANSPORT_CLOSE)
            return
        connection.entered = True
        connection.say(packets.encode(packets.Connect({"sid": connection.sid})))
        await self.handler.connected(connection.sid)

    def complain(self, connection: AgentConnection, why: packets.Why | None, words: str) -> None:
        """Log, a few times a minute for each address, and count what broke the protocol."""
        self._complaints.note(connection.source_ip, words)
        if why:
            self._refused(why)

    def ended(self, connection: AgentConnection, reason: str) -> None:
        """A connection is not spoken to any more."""
        self.deadlines.remove(connection)
        self._by_transport.pop(connection.transport_id, None)
        if self._by_sid.pop(connection.sid, None):
            begin(self.handler.disconnected(connection.sid, reason))
        self.handler.closed(connection.transport_id)

    def gone(self, connection: AgentConnection) -> None:
        """Its socket is closed."""
        self._sockets.discard(connection)
        if not self._sockets:
            self._all_gone.set()
