"""Why a connection ended, as both links say it."""

from typing import Final

import engineio

_LIBRARY = engineio.AsyncServer.reason


class Reason:
    """The words of python-socketio, and what it has none for."""

    CLIENT_DISCONNECT: Final[str] = _LIBRARY.CLIENT_DISCONNECT
    SERVER_DISCONNECT: Final[str] = _LIBRARY.SERVER_DISCONNECT
    TRANSPORT_CLOSE: Final[str] = _LIBRARY.TRANSPORT_CLOSE
    PING_TIMEOUT: Final[str] = _LIBRARY.PING_TIMEOUT
    TOO_SLOW: Final[str] = "peer does not read"
