"""Engine.IO and Socket.IO packets: what the protocols' documents show, what is refused, and nothing else."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployx_protocol import events, limits, packets
from deployx_protocol.packets import (
    Ack,
    Close,
    Connect,
    ConnectError,
    Disconnect,
    Event,
    Open,
    Packet,
    PacketError,
    Ping,
    Pong,
    Why,
    decode,
    encode,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(limits.INT64_MIN, limits.INT64_MAX) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
).filter(lambda value: depth(value) <= limits.PAYLOAD_DEPTH_MAX)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=3)
ACK_IDS = st.integers(0, packets.ACK_ID_MAX)
NAMES = TEXT.filter(lambda name: name not in events.RESERVED)
POSITIVE = st.integers(1, 2**31)
FROM_ZERO = st.integers(0, 2**31)
PACKETS = (
    st.sampled_from([Close(), Ping(), Pong(), Disconnect()])
    | st.builds(Open, sid=TEXT.filter(bool), ping_interval_ms=FROM_ZERO, ping_timeout_ms=POSITIVE, max_payload=POSITIVE)
    | st.builds(Connect, st.none() | OBJECTS)
    | st.builds(ConnectError, st.none() | OBJECTS | TEXT)
    | st.builds(Event, NAMES, st.lists(VALUES, max_size=3), st.none() | ACK_IDS)
    | st.builds(Ack, ACK_IDS, st.lists(VALUES, max_size=3))
)


def depth(value: Any) -> int:
    """How many lists and objects are around the innermost."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((depth(item) for item in inner), default=0)


@pytest.mark.parametrize(
    ("raw", "packet"),
    [
        (
            b'0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
            b'"maxPayload":1000000}',
            Open("lv_VI97HAXpY6yYWAAAC", 25_000, 20_000, 1_000_000, ["websocket"]),
        ),
        (b"1", Close()),
        (b"2", Ping()),
        (b"3", Pong()),
        (b"40", Connect()),
        (b'40{"sid":"oSO0OpakMV_3jnilAAAA"}', Connect({"sid": "oSO0OpakMV_3jnilAAAA"})),
        (b'44{"message":"Not authorized"}', ConnectError({"message": "Not authorized"})),
        (b'44"Unable to connect"', ConnectError("Unable to connect")),
        (b'42["foo"]', Event("foo")),
        (b'4212["foo","b\xc3\xa4r",{"a":[1,null]}]', Event("foo", ["b\u00e4r", {"a": [1, None]}], 12)),
        (b'430["bar"]', Ack(0, ["bar"])),
        (b"4312[]", Ack(12)),
        (b"41", Disconnect()),
    ],
)
def test_the_documents_examples(raw: bytes, packet: Packet) -> None:
    assert decode(raw) == packet
    assert decode(encode(packet)) == packet


@given(PACKETS)
def test_what_is_sent_is_what_comes(packet: Packet) -> None:
    raw = encode(packet)
    assert decode(raw) == packet
    assert encode(decode(raw)) == raw


@given(st.builds(Event, NAMES, st.lists(VALUES, max_size=3)))
def test_anybodys_json_reads_an_event(event: Event) -> None:
    assert json.loads(encode(event)[2:]) == [event.name, *event.args]


@given(
    st.binary(max_size=40)
    | st.builds(lambda head, rest: head + rest, st.sampled_from([b"0", b"4", b"42", b"431"]), st.binary(max_size=40))
)
@example(b'42["\xff"]')
@example(b'42["\xed\xa0\x80"]')
@example(b'42["a"]\x00')
@example(b'42["a",1e999]')
@example(b"42" + b"9" * 5_000 + b"[]")
@example(b"42" + b"[" * 60_000)
@example(b"42" + b'{"a":' * 10_000)
def test_whatever_comes_is_a_packet_or_refused(raw: bytes) -> None:
    try:
        packet = decode(raw)
    except PacketError as error:
        assert str(error).endswith(".")
        return
    if isinstance(packet, Event | Ack):
        raw[2:].decode()  # every byte of it was UTF-8
        assert isinstance(packet.args, list)


@given(PACKETS, st.data())
def test_one_wrong_byte_never_ends_in_another_exception(packet: Packet, data: st.DataObject) -> None:
    raw = bytearray(encode(packet))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(PacketError):
        decode(bytes(raw))


NAMELESS = (b"42", b"42[]", b'42{"a":1}', b'42"a"', b"42[1]", b"42[null]", b'42 ["a"]', b'42["a"', b'42["a"]x')


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        *((raw, Why.MALFORMED) for raw in NAMELESS),
        *((raw, Why.MALFORMED) for raw in (b"1x", b"2probe", b"41{}", b"43", b"43[]", b"431", b'431{"a":1}')),
        *((raw, Why.MALFORMED) for raw in (b'4201["a"]', b'42-1["a"]', b'429007199254740992["a"]', b'42["a",NaN]')),
        *((raw, Why.MALFORMED) for raw in (b"40[]", b'40"a"', b"40null", b"44[]", b"441", b"0", b"0{}", b"0[]")),
        *((b'0{"sid":%b,"pingInterval":%b,"pingTimeout":%b}' % bad, Why.MALFORMED) for bad in (
            (b'""', b"5", b"5"), (b"5", b"5", b"5"), (b'"a"', b"0", b"0"), (b'"a"', b"-1", b"5"),
            (b'"a"', b'"5"', b"5"),
        )),
        *((raw, Why.TYPE) for raw in (b"", b"5", b"6", b"7", b"x", b"4", b"47", b"4x", b"b4AQIDBA==", b"\xff")),
        *((raw, Why.BINARY) for raw in (b"45", b'451-["a",{"_placeholder":true,"num":0}]', b"461-1[]")),
        *((raw, Why.NAMESPACE) for raw in (b"40/admin,", b'42/admin,["a"]', b"40/,{}", b"41/admin,", b"43/a,1[]")),
        *((json.dumps([name]).join(("42", "")).encode(), Why.RESERVED) for name in sorted(events.RESERVED)),
    ],
)  # fmt: skip
def test_what_is_not_spoken_here_is_refused_with_what_is_wrong(raw: bytes, why: Why) -> None:
    with pytest.raises(PacketError) as refused:
        decode(raw)
    assert refused.value.why is why


def nested(levels: int) -> Any:
    value: Any = "innermost"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("make", [lambda value: Event("a", [value]), lambda value: Ack(1, [value])])
def test_depth_is_bounded_both_ways(make: Any) -> None:
    deepest = make(nested(packets.NESTING_MAX - 1))
    assert decode(encode(deepest)) == deepest
    deeper = make(nested(packets.NESTING_MAX))
    raw = (b"42" if isinstance(deeper, Event) else b"431") + json.dumps(
        [*(["a"] if isinstance(deeper, Event) else []), *deeper.args]
    ).encode()
    for attempt in (lambda: encode(deeper), lambda: decode(raw)):
        with pytest.raises(PacketError) as refused:
            attempt()
        assert refused.value.why is Why.TOO_DEEP


def test_brackets_side_by_side_are_not_deep() -> None:
    wide = Event("a", [[{"b": [1]} for _ in range(200)], "[[[[[[[[[[[[{{{{{{"])
    assert decode(encode(wide)) == wide


def test_length_is_bounded_both_ways() -> None:
    packet = Event("a", ["\u00e4" * 20])
    raw = encode(packet)
    assert decode(raw, max_bytes=len(raw)) == packet
    for attempt in (
        lambda: encode(packet, max_bytes=len(raw) - 1),
        lambda: decode(raw, max_bytes=len(raw) - 1),
        lambda: encode(Event("a", ["x" * limits.AGENT_MESSAGE_MAX_BYTES])),
    ):
        with pytest.raises(PacketError) as refused:
            attempt()
        assert refused.value.why is Why.TOO_LONG


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        *((Event(name), Why.RESERVED) for name in sorted(events.RESERVED)),
        (Event("a", [object()]), Why.MALFORMED),
        (Event("a", ["\ud800"]), Why.MALFORMED),
        (Event("a", [], -1), Why.MALFORMED),
        (Ack(packets.ACK_ID_MAX + 1), Why.MALFORMED),
        (Event("a", endless()), Why.TOO_DEEP),
    ],
)
def test_what_the_other_end_would_refuse_is_not_sent(packet: Packet, why: Why) -> None:
    with pytest.raises(PacketError) as refused:
        encode(packet)
    assert refused.value.why is why


def test_what_is_refused_is_not_repeated() -> None:
    with pytest.raises(PacketError) as refused:
        decode(b'42{"token":"secret"}')
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
