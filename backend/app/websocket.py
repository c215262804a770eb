"""uvicorn's websocket protocol, with a flaw of it mended, and less patience.

Between a peer's goodbye and the end of its connection uvicorn cannot shut that connection down: it says goodbye again,
which is not allowed, and the error ends the whole server before its own end is in order.
"""

import contextlib
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

GOODBYE_S = 3.0
"""How long a peer may leave our goodbye unanswered; uvicorn would keep its connection for ten seconds."""


class WebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.close_timeout = GOODBYE_S

    def shutdown(self) -> None:
        """Say goodbye, unless the peer was first; then there is nothing left to say, and the transport is closing."""
        with contextlib.suppress(InvalidState):
            super().shutdown()
