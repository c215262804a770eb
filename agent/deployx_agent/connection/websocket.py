"""The client's side of a websocket (RFC 6455), without I/O: the request that opens one, and its frames.

Whole messages come out, however they were cut up; a message that is too long is refused by its length, before any of it
is kept. No extension and no subprotocol is offered, so none may be used. Invariant: what breaks the RFC raises
WebSocketError with the code that the peer is to be told; nothing after it is read.
"""

import base64
import hashlib
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

GOING: Final = 1000
PROTOCOL_ERROR: Final = 1002
UNACCEPTABLE: Final = 1003
TOO_LONG: Final = 1009

HEAD_MAX_BYTES: Final = 16_384
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FINAL_BIT: Final = 0x80
_RESERVED_BITS: Final = 0x70
_MASK_BIT: Final = 0x80
_CONTROL_MAX_BYTES: Final = 125
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127


class WebSocketError(Exception):
    """The peer broke the protocol; ``close_code`` says how."""

    def __init__(self, message: str, close_code: int = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.close_code = close_code


# ---------------------------------------------------------------- the handshake


def new_key() -> str:
    """What one handshake is recognised by."""
    return base64.b64encode(os.urandom(16)).decode()


def request(authority: str, target: str, key: str, agent: str) -> bytes:
    """The request that asks the server at ``authority`` for a websocket at ``target``."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode("ascii")


class Head(NamedTuple):
    """The head of the answer to the request."""

    status: int
    headers: dict[str, str]
    """Names in lower case; what came more than once is joined."""

    def opens(self, key: str) -> bool:
        """Whether it opens the websocket that was asked for with ``key``."""
        accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
        return (
            self.status == 101
            and self.headers.get("upgrade", "").lower() == "websocket"
            and "upgrade" in [word.strip() for word in self.headers.get("connection", "").lower().split(",")]
            and self.headers.get("sec-websocket-accept") == accept
            and not self.headers.keys() & {"sec-websocket-extensions", "sec-websocket-protocol"}
        )


def parse_head(head: bytes) -> Head:
    """The answer that ``head`` is, without the empty line after it. Raises WebSocketError."""
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status = rest[:3]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(status) != 3 or not status.isdigit() or rest[3:4].strip():
        raise WebSocketError("The answer is not HTTP.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise WebSocketError("The answer's headers are not HTTP.")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Head(int(status), headers)


# ---------------------------------------------------------------- frames


def frame(kind: int, payload: bytes) -> bytes:
    """One whole message as a frame, masked as a client's must be."""
    length = len(payload)
    if length <= _CONTROL_MAX_BYTES:
        head = bytes((_FINAL_BIT | kind, _MASK_BIT | length))
    elif length < 1 << 16:
        head = bytes((_FINAL_BIT | kind, _MASK_BIT | _LENGTH_16)) + length.to_bytes(2, "big")
    else:
        head = bytes((_FINAL_BIT | kind, _MASK_BIT | _LENGTH_64)) + length.to_bytes(8, "big")
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    """Two numbers as long as the payload are combined in one step; byte by byte would take a hundred times as long."""
    length = len(payload)
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(length, "little")


def goodbye(code: int) -> bytes:
    """The frame that ends a websocket."""
    return frame(CLOSE, code.to_bytes(2, "big"))


def goodbye_code(payload: bytes) -> int | None:
    """What the peer's last frame says, None when it says nothing. Raises WebSocketError."""
    if not payload:
        return None
    if len(payload) == 1:
        raise WebSocketError("The goodbye has half a code.")
    return int.from_bytes(payload[:2], "big")


class Message(NamedTuple):
    """TEXT, BINARY, PING, PONG or CLOSE, whole."""

    kind: int
    payload: bytes


class Frames:
    """Takes bytes as they come and gives messages of at most ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._unread = bytearray()
        self._kind = CONTINUATION
        """Of the message that has begun and not ended; CONTINUATION: none has."""
        self._parts = bytearray()

    def whole(self, data: bytes) -> bytes | None:
        """The text, if ``data`` is one message of text in one frame and nothing is under way, as it mostly is; else
        None, and ``data`` is to be fed."""
        if len(data) < 2 or data[0] != _FINAL_BIT | TEXT or self._unread or self._kind != CONTINUATION:
            return None
        begins, length = 2, data[1]
        if length == _LENGTH_16:
            begins, length = 4, int.from_bytes(data[2:4], "big")
        elif length > _LENGTH_16:
            return None
        return data[begins:] if len(data) == begins + length and length <= self._max_bytes else None

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole with ``data``. Raises WebSocketError after those that were before the fault."""
        unread = self._unread
        unread += data
        while len(unread) >= 2:
            first, length = unread[0], unread[1]
            begins = 2
            self._check(first, length)
            if length >= _LENGTH_16:
                begins = 4 if length == _LENGTH_16 else 10
                if len(unread) < begins:
                    return
                length = int.from_bytes(unread[2:begins], "big")
            kind = first & 0x0F
            if length > self._max_bytes - (len(self._parts) if kind < CLOSE else 0):
                raise WebSocketError(f"A message is longer than {self._max_bytes} bytes.", TOO_LONG)
            ends = begins + length
            if len(unread) < ends:
                return
            payload = bytes(unread[begins:ends])
            del unread[:ends]
            if (message := self._take(kind, first & _FINAL_BIT, payload)) is not None:
                yield message

    def _check(self, first: int, length: int) -> None:
        kind = first & 0x0F
        if first & _RESERVED_BITS:
            raise WebSocketError("A frame uses an extension.")
        if length & _MASK_BIT:
            raise WebSocketError("A frame is masked.")
        if kind in (PING, PONG, CLOSE):
            if length > _CONTROL_MAX_BYTES or not first & _FINAL_BIT:
                raise WebSocketError("A control frame is in pieces, or too long.")
        elif kind not in (CONTINUATION, TEXT, BINARY):
            raise WebSocketError("A frame is of no known kind.")
        elif (kind == CONTINUATION) != (self._kind != CONTINUATION):
            raise WebSocketError("A message begins within another, or goes on without a beginning.")

    def _take(self, kind: int, final: int, payload: bytes) -> Message | None:
        if kind >= CLOSE or (final and self._kind == CONTINUATION):
            return Message(kind, payload)
        self._kind = kind or self._kind
        self._parts += payload
        if not final:
            return None
        message = Message(self._kind, bytes(self._parts))
        self._kind = CONTINUATION
        self._parts.clear()
        return message
