"""uvicorn's websocket protocol, with a flaw of it mended, less patience, and a way to send one frame to many.

Between a peer's goodbye and the end of its connection uvicorn cannot shut that connection down: it says goodbye again,
which is not allowed, and the error ends the whole server before its own end is in order.
"""

import contextlib
import struct
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

EXTENSION = "deployx.websocket"
"""Under which an application finds its `WebSocket` among the extensions of its scope."""
_TEXT = 0x81
"""The first byte of a frame that is a whole text."""
GOODBYE_S = 3.0
"""How long a peer may leave our goodbye unanswered; uvicorn would keep its connection for ten seconds."""


class WebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.close_timeout = GOODBYE_S

    def handle_connect(self, event: Request) -> None:
        """Begin, with a way for the application to find this."""
        super().handle_connect(event)
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self

    def write(self, frame: bytes) -> bool:
        """Send a frame, past the application's usual way, if the connection is open and takes more; whether it does."""
        if not (self.handshake_complete and self.writable.is_set()):
            return False
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def shutdown(self) -> None:
        """Say goodbye, unless the peer was first; then there is nothing left to say, and the transport is closing."""
        with contextlib.suppress(InvalidState):
            super().shutdown()


def text_frame(text: bytes) -> bytes:
    """The frame in which a server sends ``text``, which is UTF-8."""
    size = len(text)
    if size < 126:  # RFC 6455, 5.2
        return struct.pack("!BB", _TEXT, size) + text
    if size < 1 << 16:
        return struct.pack("!BBH", _TEXT, 126, size) + text
    return struct.pack("!BBQ", _TEXT, 127, size) + text
