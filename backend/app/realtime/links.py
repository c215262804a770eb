"""Both ways in which an agent may be connected, as one: our own link, and python-socketio for all that it leaves out.

Invariant: each sid is known to exactly one of the two, so that whoever stands above need not know which.
"""

import asyncio
from typing import Any

from app.realtime.agentlink.server import AgentHandler, AgentLink
from app.realtime.link import LinkServer
from app.realtime.reasons import Reason


class AgentLinks:
    """Speaks to agents by their Socket.IO sid."""

    def __init__(self, own: AgentLink, other: LinkServer) -> None:
        self.own = own
        self.other = other

    def serve(self, handler: AgentHandler) -> None:
        """Hand everything that passes the checks to ``handler``."""
        self.own.serve(handler)
        self.other.serve(handler)

    def transport_id(self, sid: str) -> str:
        """The Engine.IO sid under a connection."""
        connection = self.own.connection(sid)
        return connection.transport_id if connection else self.other.transport_id(sid)

    def strict(self, sid: str) -> bool:
        """Whether the connection is on our own link."""
        return self.own.connection(sid) is not None

    async def tell(self, sid: str, event: str, payload: Any) -> None:
        """Send an event to one connection, if it is open."""
        connection = self.own.connection(sid)
        if connection:
            connection.tell(event, payload)
        else:
            await self.other.tell(sid, event, payload)

    async def probe(self, sid: str, timeout_s: float) -> bool:
        """Whether the peer answers a ping within ``timeout_s``."""
        connection = self.own.connection(sid) or self.other.socket(sid)
        return connection is not None and await connection.probe(timeout_s)

    async def cut(self, sid: str) -> None:
        """Close a connection and its transport, after what was queued for it is sent."""
        connection = self.own.connection(sid)
        if connection:
            connection.cut(Reason.SERVER_DISCONNECT)
        else:
            await self.other.cut(sid)

    async def cut_transport(self, transport_id: str) -> None:
        """Close a transport that may never have connected."""
        connection = self.own.transport(transport_id)
        if connection:
            connection.cut(Reason.SERVER_DISCONNECT)
        else:
            await self.other.cut_transport(transport_id)

    async def finished(self, deadline_s: float) -> None:
        """Wait until every websocket has sent its last words; whoever does not read them in time is left behind."""
        await asyncio.gather(self.own.finished(deadline_s), self.other.finished(deadline_s))

    async def shutdown(self) -> None:
        """Close what is still open."""
        await self.own.shutdown()
        await self.other.shutdown()
