"""Output as bytes: the format of an agent's spool and of what it posts beyond the preview.

A frame is a header (stream: 1 byte, 1 stdout or 2 stderr; seq: 4 bytes; length: 4 bytes; big endian) and that many
bytes. So a spool can be sent from any frame on as it lies on the disk.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from deployx_protocol import limits
from deployx_protocol.checks import InvalidPayload

_HEADER = struct.Struct(">BII")
HEADER_BYTES = _HEADER.size


class Frame(NamedTuple):
    """A chunk of output: its place among a task's chunks, its stream, its bytes."""

    seq: int
    stream: int
    data: bytes


def encode(frame: Frame) -> bytes:
    """``frame`` with its header."""
    return _HEADER.pack(frame.stream, frame.seq, len(frame.data)) + frame.data


def decode(body: bytes) -> Iterator[Frame]:
    """The frames of ``body``. Raises InvalidPayload on a frame that is cut off, too long or of no known stream."""
    view, at = memoryview(body), 0
    while at < len(body):
        if at + HEADER_BYTES > len(body):
            raise InvalidPayload("The output ends within the header of a frame.")
        stream, seq, length = _HEADER.unpack_from(body, at)
        at += HEADER_BYTES
        if stream not in (1, 2) or length > limits.CHUNK_MAX_BYTES or seq >= 2**31:
            raise InvalidPayload("The output holds a frame of an unknown stream, or one that is too long.")
        if at + length > len(body):
            raise InvalidPayload("The output ends within a frame.")
        yield Frame(seq, stream, bytes(view[at : at + length]))
        at += length
