"""uvicorn's websocket protocol, with a flaw of it mended.

Between a peer's goodbye and the end of its connection uvicorn cannot shut that connection down: it says goodbye again,
which is not allowed, and the error ends the whole server before its own end is in order.
"""

import contextlib

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState


class WebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def shutdown(self) -> None:
        """Say goodbye, unless the peer was first; then there is nothing left to say, and the transport is closing."""
        with contextlib.suppress(InvalidState):
            super().shutdown()
