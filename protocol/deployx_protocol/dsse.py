"""DSSE envelopes (https://github.com/secure-systems-lab/dsse, version 1.0): their form, and the bytes that are signed.

No cryptography here: who signs and who verifies brings that. Invariant: base64 is taken in its one canonical form, in
either alphabet, so that no two envelopes that look different carry the same signature.
"""

import base64
import binascii

from deployx_protocol.checks import InvalidPayload
from deployx_protocol.messages import Message

SIGNATURES_MAX = 16
_CONTEXT = b"DSSEv1"


class Signature(Message, frozen=True, kw_only=True):
    """One signature over `dsse.pae`. `keyid` says which key to try; nothing else follows from it."""

    sig: str
    """Base64."""
    keyid: str = ""


class Envelope(Message, frozen=True, kw_only=True):
    """A DSSE envelope: something that was signed, and by whom."""

    payload: str
    """Base64."""
    payloadType: str
    signatures: list[Signature]

    def __post_init__(self) -> None:
        if not 0 < len(self.signatures) <= SIGNATURES_MAX:
            raise InvalidPayload(
                f"An envelope has 1 to {SIGNATURES_MAX} signatures; this one has {len(self.signatures)}."
            )

    def body(self) -> bytes:
        """What was signed. Raises InvalidPayload."""
        return decoded(self.payload, "payload")


def pae(payload_type: str, body: bytes) -> bytes:
    """The bytes that a signature covers (*pre-authentication encoding*)."""
    kind = payload_type.encode()
    return b" ".join((_CONTEXT, b"%d" % len(kind), kind, b"%d" % len(body), body))


def decoded(text: str, field: str) -> bytes:
    """``text`` from standard or URL-safe base64. Raises InvalidPayload."""
    altchars = b"-_" if "-" in text or "_" in text else b"+/"
    try:
        raw = base64.b64decode(text, altchars, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidPayload(f"The `{field}` of the envelope is not base64.") from None
    if base64.b64encode(raw, altchars).decode() != text:
        raise InvalidPayload(f"The `{field}` of the envelope is not written as base64 has to be.")
    return raw
