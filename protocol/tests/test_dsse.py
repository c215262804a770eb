"""Envelopes against the specification's own example, and against what is not quite base64."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_protocol import checks, dsse
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.dsse import Envelope

HELLO_TYPE = "http://example.com/HelloWorld"
HELLO = {
    "payload": "aGVsbG8gd29ybGQ=",
    "payloadType": HELLO_TYPE,
    "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}],
}
"""From *Test Vectors* in https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md."""


def test_the_specifications_example() -> None:
    envelope = checks.decode(HELLO, Envelope)
    assert envelope.body() == b"hello world"
    assert dsse.pae(HELLO_TYPE, envelope.body()) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert len(dsse.decoded(envelope.signatures[0].sig, "sig")) == 64
    assert envelope.to_json() == HELLO | {"signatures": [{**HELLO["signatures"][0], "keyid": ""}]}  # type: ignore[dict-item]


def test_lengths_are_of_bytes() -> None:
    assert dsse.pae("tïpe", "ö".encode()) == "DSSEv1 5 tïpe 2 ö".encode()
    assert dsse.pae("", b"") == b"DSSEv1 0  0 "


@given(st.text(), st.binary(), st.text(), st.binary())
def test_no_two_things_share_their_bytes(kind: str, body: bytes, other_kind: str, other: bytes) -> None:
    assert (dsse.pae(kind, body) == dsse.pae(other_kind, other)) == ((kind, body) == (other_kind, other))


@given(st.binary())
def test_both_alphabets_are_read(raw: bytes) -> None:
    assert dsse.decoded(base64.b64encode(raw).decode(), "sig") == raw
    assert dsse.decoded(base64.urlsafe_b64encode(raw).decode(), "sig") == raw


@pytest.mark.parametrize("text", ["AB", "AB=", "AC==", "A B=", "AQ==\n", "AQ=A", "ä", "-/==", "AQ==AQ=="])
def test_base64_has_one_form(text: str) -> None:
    with pytest.raises(InvalidPayload):
        dsse.decoded(text, "sig")


@pytest.mark.parametrize("count", [0, dsse.SIGNATURES_MAX + 1])
def test_so_many_signatures_and_no_more(count: int) -> None:
    with pytest.raises(InvalidPayload, match="1 to 16 signatures"):
        checks.decode({**HELLO, "signatures": [{"sig": "AQ=="}] * count}, Envelope)
