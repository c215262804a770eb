"""Engine.IO 4 and Socket.IO 5 packets, as the bytes of one websocket text message. No I/O; the same for both ends.

What DeployX does not use is refused, not passed over: other transports' packets, namespaces, binary attachments, names
that libraries keep for themselves. Invariant: whatever bytes come in, ``decode`` gives a packet or raises PacketError,
and what ``encode`` gives, any Socket.IO peer reads. What a payload holds is for ``checks`` to judge.

Sources: the Engine.IO protocol, revision 4, and the Socket.IO protocol, revision 5.
"""

from enum import StrEnum
from typing import Any, Final

import msgspec

from deployx_protocol import events, limits

REVISION: Final = 4
"""Of Engine.IO: what a client says as ``EIO``."""
ACK_ID_MAX: Final = 2**53 - 1
"""The largest integer that a peer in JavaScript counts to."""
NESTING_MAX: Final = limits.PAYLOAD_DEPTH_MAX + 2
"""Of the packet's list: the payload's own depth, the payload, the list around it."""
_ACK_ID_DIGITS_MAX: Final = len(str(ACK_ID_MAX))


class Why(StrEnum):
    """What is wrong with a packet, for whoever counts."""

    MALFORMED = "malformed"  # not of this form, not JSON, not UTF-8
    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    TYPE = "type"  # no type of packet, or one that is not for a connection by websocket alone
    BINARY = "binary"
    NAMESPACE = "namespace"
    RESERVED = "reserved"  # an event under a name that libraries give a meaning of their own


class PacketError(ValueError):
    """A packet that is refused. The message is a sentence, without anything that the peer sent.

    ``event`` is there when only its nesting is wrong: whoever can answer it may.
    """

    def __init__(self, why: Why, message: str, event: "Event | None" = None) -> None:
        super().__init__(message)
        self.why = why
        self.event = event


class Open(msgspec.Struct, frozen=True):
    """The server's first packet: what it calls the connection, and how often it will ask whether we are there."""

    sid: str
    ping_interval_ms: int = msgspec.field(name="pingInterval")
    ping_timeout_ms: int = msgspec.field(name="pingTimeout")
    max_payload: int = msgspec.field(name="maxPayload", default=1_000_000)
    """Of what the server takes in one message, bytes."""
    upgrades: list[str] = []


class Close(msgspec.Struct, frozen=True):
    """The Engine.IO connection ends."""


class Ping(msgspec.Struct, frozen=True):
    """From the server: are you there?"""


class Pong(msgspec.Struct, frozen=True):
    """To the server: yes."""


class Connect(msgspec.Struct, frozen=True):
    """A client's wish to enter, with what it shows; and the server's yes, with the ``sid``."""

    data: dict[str, Any] | None = None


class Disconnect(msgspec.Struct, frozen=True):
    """The Socket.IO connection ends."""


class Event(msgspec.Struct, frozen=True):
    """An event; with ``ack_id`` the receiver answers with an Ack that has the same one."""

    name: str
    args: list[Any] = []
    ack_id: int | None = None


class Ack(msgspec.Struct, frozen=True):
    """The answer to an event."""

    ack_id: int
    args: list[Any] = []


class ConnectError(msgspec.Struct, frozen=True):
    """The server's no: an object with ``message`` and what else it likes to say, or, from some servers, a sentence."""

    data: dict[str, Any] | str | None = None


Packet = Open | Close | Ping | Pong | Connect | Disconnect | Event | Ack | ConnectError

PING: Final = b"2"
PONG: Final = b"3"
_FIXED: Final[dict[bytes, Packet]] = {b"1": Close(), PING: Ping(), PONG: Pong(), b"41": Disconnect()}
_FIXED_BYTES: Final[dict[type, bytes]] = {type(packet): raw for raw, packet in _FIXED.items()}
_FIXED_LENGTH_MAX: Final = max(map(len, _FIXED))
_LIST_STARTS_BY: Final = 2 + _ACK_ID_DIGITS_MAX + 1
"""In a packet that carries a list: behind its type and the longest acknowledgement id."""
_RESERVED: Final = events.RESERVED
_dumps = msgspec.json.Encoder().encode
_loads = msgspec.json.Decoder().decode
_loads_open = msgspec.json.Decoder(Open, strict=True).decode


# ---------------------------------------------------------------- to the wire


def encode(packet: Packet, max_bytes: int = limits.AGENT_MESSAGE_MAX_BYTES) -> bytes:
    """The message that carries ``packet``. Raises PacketError for what the other end would refuse."""
    match packet:
        case Event(name, args, ack_id):
            if name in _RESERVED:
                raise _reserved()
            raw = b"42%b%b" % (_ack_id_bytes(ack_id), _dump([name, *args]))
        case Ack(ack_id, args):
            raw = b"43%b%b" % (_ack_id_bytes(ack_id), _dump(args))
        case Connect(data):
            raw = b"40" if data is None else b"40" + _dump(data)
        case ConnectError(data):
            raw = b"44" if data is None else b"44" + _dump(data)
        case Open():
            raw = b"0" + _dump(packet)
        case _:
            raw = _FIXED_BYTES[type(packet)]
    if len(raw) > max_bytes:
        raise _too_long(raw, max_bytes)
    if raw.count(b"[") + raw.count(b"{") > NESTING_MAX:
        _check_nesting(packet)
    return raw


def _dump(value: Any) -> bytes:
    try:
        return _dumps(value)
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError, OverflowError):
        raise PacketError(Why.MALFORMED, "The packet has a value that is not JSON.") from None


def _ack_id_bytes(ack_id: int | None) -> bytes:
    if ack_id is None:
        return b""
    if not 0 <= ack_id <= ACK_ID_MAX:
        raise PacketError(Why.MALFORMED, "The packet's acknowledgement id is out of range.")
    return b"%d" % ack_id


# ---------------------------------------------------------------- from the wire


def decode(raw: bytes, max_bytes: int = limits.AGENT_MESSAGE_MAX_BYTES) -> Packet:
    """The packet in the text message ``raw``. Raises PacketError."""
    if len(raw) <= _FIXED_LENGTH_MAX and (fixed := _FIXED.get(raw)) is not None:
        return fixed
    if len(raw) > max_bytes:
        raise _too_long(raw, max_bytes)
    at = raw.find(b"[", 2, _LIST_STARTS_BY)
    if at != -1:  # nearly all packets: they are not taken to pieces first
        kind, digits = raw[:2], raw[2:at]
        if kind == b"42" and (not digits or digits.isdigit()):
            return _event(raw, digits, at)
        if kind == b"43" and digits.isdigit():
            return _ack(raw, digits, at)
    match raw[:1]:
        case b"4":
            return _other_message(raw)
        case b"0":
            return _open(raw)
        case b"1" | b"2" | b"3":
            raise PacketError(Why.MALFORMED, "A packet that carries nothing carries something.")
        case _:
            raise PacketError(Why.TYPE, "This is no packet that Engine.IO sends over a websocket.")


def _event(raw: bytes, digits: bytes, at: int) -> Event:
    """The event whose list starts at ``at``, behind its acknowledgement id."""
    ack_id = _ack_id(digits) if digits else None
    args = _load(raw[at:])
    if not args or not isinstance(args[0], str):
        raise PacketError(Why.MALFORMED, "The event has no name.")
    name = args.pop(0)
    if name in _RESERVED:
        raise _reserved()
    event = Event(name, args, ack_id)
    if raw.count(b"[") + raw.count(b"{") > NESTING_MAX:
        _check_nesting(event)
    return event


def _ack(raw: bytes, digits: bytes, at: int) -> Ack:
    """The acknowledgement whose list starts at ``at``."""
    ack = Ack(_ack_id(digits), _load(raw[at:]))
    if raw.count(b"[") + raw.count(b"{") > NESTING_MAX:
        _check_nesting(ack)
    return ack


def _other_message(raw: bytes) -> Packet:
    """A message that is no event and no acknowledgement of the form that they have."""
    kind, rest = raw[1:2], raw[2:]
    if rest[:1] == b"/":
        raise PacketError(Why.NAMESPACE, "There is one namespace, and the packet names another.")
    packet: Packet
    match kind:
        case b"0":
            packet = Connect(_load_one_of(b"{", rest) if rest else None)
        case b"4":
            packet = ConnectError(_load_one_of(b'{"', rest) if rest else None)
        case b"2" | b"3":
            raise PacketError(Why.MALFORMED, "The packet is not made of an acknowledgement id and a list.")
        case b"5" | b"6":
            raise PacketError(Why.BINARY, "Binary attachments are not accepted.")
        case b"1":
            raise PacketError(Why.MALFORMED, "A packet that carries nothing carries something.")
        case _:
            raise PacketError(Why.TYPE, "This is no packet of Socket.IO.")
    if raw.count(b"[") + raw.count(b"{") > NESTING_MAX:
        _check_nesting(packet)
    return packet


def _open(raw: bytes) -> Open:
    try:
        found = _loads_open(raw[1:])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise PacketError(Why.MALFORMED, "The handshake is not what Engine.IO sends.") from None
    silence_ms = found.ping_interval_ms + found.ping_timeout_ms  # python-engineio says 0 for less than a second
    if (
        not found.sid
        or min(found.ping_interval_ms, found.ping_timeout_ms) < 0
        or min(silence_ms, found.max_payload) < 1
    ):
        raise PacketError(Why.MALFORMED, "The handshake has a value that is out of range.")
    return found


def _ack_id(digits: bytes) -> int:
    ack_id = int(digits)
    if ack_id > ACK_ID_MAX or (digits[:1] == b"0" and len(digits) > 1):
        raise PacketError(Why.MALFORMED, "The packet's acknowledgement id is out of range.")
    return ack_id


def _load_one_of(starts: bytes, raw: bytes) -> Any:
    """The JSON in ``raw``, of the kind that begins with one of the bytes of ``starts``."""
    if raw[:1] not in starts:
        raise PacketError(Why.MALFORMED, "The packet's content is not of the kind that belongs there.")
    return _load(raw)


def _load(raw: bytes) -> Any:
    try:
        return _loads(raw)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.MsgspecError, ValueError):  # UnicodeDecodeError is one
        raise PacketError(Why.MALFORMED, "The packet's content is not JSON.") from None


# ---------------------------------------------------------------- what holds both ways


def _reserved() -> PacketError:
    return PacketError(Why.RESERVED, "The event has a name that is reserved.")


def _too_long(raw: bytes, max_bytes: int) -> PacketError:
    return PacketError(Why.TOO_LONG, f"The packet has {len(raw)} bytes; at most {max_bytes} are allowed.")


def _check_nesting(packet: Packet) -> None:
    """There cannot be more levels than opening brackets, so few packets come here to be walked."""
    level: list[Any] = [packet.args if isinstance(packet, Event | Ack) else getattr(packet, "data", None)]
    for _ in range(NESTING_MAX):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list | tuple):
                inner += value
        level = [value for value in inner if isinstance(value, dict | list | tuple)]
        if not level:
            return
    raise _too_deep(packet if isinstance(packet, Event) else None)


def _too_deep(event: Event | None = None) -> PacketError:
    return PacketError(Why.TOO_DEEP, f"The packet is nested deeper than {NESTING_MAX} levels.", event)
