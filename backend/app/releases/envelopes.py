"""What came as a release: its payload read, its signatures looked at. Pure.

The server trusts nobody who sends one: it repeats every check that does not need the files themselves. Whether the
signatures are good it can say only of keys that it has heard of, and no device takes its word for it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from app.errors import InvalidInput
from app.releases.schemas import ReleaseInput, ReleaseSignature
from deployx_protocol import checks, dsse, releases
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.release_sense import imprudent
from deployx_protocol.releases import PAYLOAD_TYPE, Manifest
from deployx_protocol.signed_runs import KEY_ID_LENGTH

_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Key:
    """An operator's public key, as the policy of some device names it."""

    name: str
    public: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A payload that can be a release."""

    payload: bytes
    sha256: str
    manifest: Manifest
    signatures: list[ReleaseSignature]


def opened(body: ReleaseInput) -> Opened:
    """What was sent. Raises InvalidInput, with ``release_unusable`` for a payload that is no release."""
    try:
        if body.payloadType != PAYLOAD_TYPE:
            raise InvalidPayload(f"The envelope carries {body.payloadType[:80]!r}, which is no release.")
        payload = dsse.decoded(body.payload, "payload")
        manifest = releases.parse(payload)
        wrong = imprudent(manifest)
        if wrong:
            raise wrong
    except InvalidPayload as error:
        raise InvalidInput(str(error), code="release_unusable") from None
    check_form(body.signatures)
    return Opened(payload, hashlib.sha256(payload).hexdigest(), manifest, body.signatures)


def check_form(signatures: list[ReleaseSignature]) -> None:
    """That these can be signatures, each of another key. Raises InvalidInput."""
    try:
        for one in signatures:
            if not checks.is_hex(one.keyid, KEY_ID_LENGTH):
                raise InvalidPayload(f"A `keyid` is not {KEY_ID_LENGTH} hexadecimal digits.")
            if len(dsse.decoded(one.sig, "sig")) != _SIGNATURE_BYTES:
                raise InvalidPayload("A `sig` is no Ed25519 signature.")
    except InvalidPayload as error:
        raise InvalidInput(str(error), code="signature_unusable") from None
    if len({one.keyid for one in signatures}) < len(signatures):
        raise InvalidInput("Two of the signatures are of the same key.", code="signature_unusable")


def check_known(payload: bytes, signatures: list[ReleaseSignature], keys: Mapping[str, Key]) -> None:
    """That none is a bad one of a key that is known; every device would refuse it. Raises InvalidInput."""
    for one in signatures:
        if is_good(payload, one, keys) is False:
            raise InvalidInput(
                f"The signature of {keys[one.keyid].name} (key {one.keyid}) is not over this release; sign it again.",
                code="signature_bad",
            )


def is_good(payload: bytes, signature: ReleaseSignature, keys: Mapping[str, Key]) -> bool | None:
    """Whether it is over ``payload``; None for a key that is not known here."""
    key = keys.get(signature.keyid)
    if key is None:
        return None
    try:
        VerifyKey(bytes.fromhex(key.public)).verify(dsse.pae(PAYLOAD_TYPE, payload), dsse.decoded(signature.sig, "sig"))
    except (BadSignatureError, ValueError):
        return False
    return True
