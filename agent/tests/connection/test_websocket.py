"""The websocket's frames and handshake: every way to cut them up, and everything that RFC 6455 forbids a server."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployx_agent.connection import websocket
from deployx_agent.connection.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_LONG,
    Frames,
    Message,
    WebSocketError,
)

MAX = 70_000


def from_server(kind: int, payload: bytes, *, final: bool = True, bits: int = 0, masked: bool = False) -> bytes:
    """A frame as a server writes it, or as it must not."""
    length = len(payload)
    size, extended = length, b""
    if length > 125:
        size, extended = (126, length.to_bytes(2, "big")) if length < 1 << 16 else (127, length.to_bytes(8, "big"))
    return bytes((0x80 * final | bits | kind, 0x80 * masked | size)) + extended + payload


PAYLOADS = st.binary(max_size=300) | st.sampled_from([125, 126, 65_535, 65_536]).map(bytes)
CONTROLS = st.builds(Message, st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """What a server sends, its messages in pieces with pings between them, and what it means."""
    raw = b""
    meant: list[Message] = []
    for _ in range(draw(st.integers(0, 4))):
        message = Message(draw(st.sampled_from([TEXT, BINARY])), draw(PAYLOADS))
        cuts = sorted(draw(st.lists(st.integers(0, len(message.payload)), max_size=3)))
        pieces = [message.payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(message.payload)], strict=True)]
        for number, piece in enumerate(pieces):
            kind = CONTINUATION if number else message.kind
            raw += from_server(kind, piece, final=number == len(pieces) - 1)
            if number < len(pieces) - 1 and draw(st.booleans()):
                control = draw(CONTROLS)
                raw += from_server(control.kind, control.payload)
                meant.append(control)
        meant.append(message)
    return raw, meant


@given(conversations(), st.data())
def test_messages_come_out_whole_however_they_arrive(
    conversation: tuple[bytes, list[Message]], data: st.DataObject
) -> None:
    raw, meant = conversation
    frames = Frames(MAX)
    found: list[Message] = []
    while raw:
        size = data.draw(st.integers(1, min(len(raw), 1 << 17)))
        text = frames.whole(raw[:size])
        found += frames.feed(raw[:size]) if text is None else [Message(TEXT, text)]
        raw = raw[size:]
    assert found == meant


@given(st.binary(max_size=400))
@example(from_server(TEXT, b"", final=False) * 100)
def test_whatever_comes_is_messages_or_refused(raw: bytes) -> None:
    try:
        for message in Frames(100).feed(raw):
            assert len(message.payload) <= 125
    except WebSocketError as error:
        assert error.close_code in (PROTOCOL_ERROR, TOO_LONG)


@pytest.mark.parametrize(
    "raw",
    [
        from_server(TEXT, b"a", bits=0x40),
        from_server(TEXT, b"a", bits=0x10),
        from_server(TEXT, b"a", masked=True),
        from_server(0x3, b""),
        from_server(0xB, b""),
        from_server(CONTINUATION, b"a"),
        from_server(TEXT, b"a", final=False) + from_server(TEXT, b"b"),
        from_server(PING, b"a", final=False),
        from_server(PING, b"x" * 126),
        from_server(CLOSE, b"x" * 126),
    ],
)
def test_what_a_server_must_not_send_is_refused_after_what_was_good(raw: bytes) -> None:
    found = []
    with pytest.raises(WebSocketError) as refused:
        for message in Frames(MAX).feed(from_server(TEXT, b"good") + raw):
            found.append(message)  # noqa: PERF402 - what was found before the error counts
    assert found == [Message(TEXT, b"good")]
    assert refused.value.close_code == PROTOCOL_ERROR


@pytest.mark.parametrize(
    "raw",
    [
        from_server(TEXT, bytes(1001))[:4],
        bytes((0x81, 127)) + (2**63).to_bytes(8, "big"),
        from_server(TEXT, bytes(600), final=False) + from_server(CONTINUATION, bytes(401))[:4],
    ],
)
def test_what_is_too_long_is_refused_by_its_head_alone(raw: bytes) -> None:
    with pytest.raises(WebSocketError) as refused:
        list(Frames(1000).feed(raw))
    assert refused.value.close_code == TOO_LONG


@given(st.sampled_from([TEXT, PONG]), PAYLOADS)
def test_what_is_sent_is_masked_and_says_its_length(kind: int, payload: bytes) -> None:
    raw = websocket.frame(kind, payload)
    assert raw[0] == 0x80 | kind
    assert raw[1] & 0x80
    size = raw[1] & 0x7F
    begins = {126: 4, 127: 10}.get(size, 2)
    assert (int.from_bytes(raw[2:begins], "big") if size > 125 else size) == len(payload)
    mask, hidden = raw[begins : begins + 4], raw[begins + 4 :]
    assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(hidden)) == payload


def test_masks_differ() -> None:
    assert len({websocket.frame(TEXT, b"the same")[2:6] for _ in range(20)}) > 1


def test_the_goodbyes_code() -> None:
    assert websocket.goodbye_code(b"") is None
    assert websocket.goodbye_code(b"\x03\xe9because") == 1001
    with pytest.raises(WebSocketError):
        websocket.goodbye_code(b"\x03")


# The example of RFC 6455, section 1.3
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)


@pytest.mark.parametrize(
    "head", [HEAD, HEAD.replace(b"Connection: Upgrade", b"connection:keep-alive, upgrade"), HEAD + b"\r\nX: "]
)
def test_the_rfcs_example_opens(head: bytes) -> None:
    assert websocket.parse_head(head).opens(KEY)


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"101 Switching Protocols", b"200 OK"),
        HEAD.replace(b"s3p", b"S3p"),
        HEAD.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        HEAD.replace(b"Connection: Upgrade", b"Connection: close"),
        HEAD + b"\r\nSec-WebSocket-Extensions: permessage-deflate",
        HEAD + b"\r\nSec-WebSocket-Protocol: chat",
        HEAD + b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"HTTP/1.1 101",
    ],
)
def test_anything_else_does_not(head: bytes) -> None:
    assert not websocket.parse_head(head).opens(KEY)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest))
@example(b"SSH-2.0-OpenSSH_9.2")
@example(b"HTTP/1.1 1e1 no")
@example(b"HTTP/1.1 2000 no")
@example(b"HTTP/1.1 200 OK\r\n folded: line")
def test_an_answer_is_understood_or_refused(head: bytes) -> None:
    try:
        found = websocket.parse_head(head)
    except WebSocketError:
        return
    assert head.startswith(b"HTTP/1.")
    assert 0 <= found.status <= 999


def test_the_request_asks_for_nothing_but_the_websocket() -> None:
    key = websocket.new_key()
    first, *lines = websocket.request("[::1]:8443", "/a?b=c", key, "agent/1").decode().split("\r\n")
    assert first == "GET /a?b=c HTTP/1.1"
    assert "Host: [::1]:8443" in lines
    assert f"Sec-WebSocket-Key: {key}" in lines
    assert lines[-2:] == ["", ""]
    assert "Extensions" not in str(lines)
    assert websocket.new_key() != key
