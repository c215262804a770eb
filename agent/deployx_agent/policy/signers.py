"""Whose signatures are good: DSSE, verified against the keys that the policy names and no others.

Invariant: each key counts once, however often it has signed; the key id of a signature is a hint and nothing more.
"""

from collections.abc import Sequence
from datetime import datetime

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from deployx_protocol import dsse
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.policy import Operator, Policy


def enough(
    policy: Policy, payload_type: str, body: bytes, signatures: Sequence[dsse.Signature], now: datetime
) -> tuple[str, ...]:
    """The names of the operators who signed ``body`` and count now. Raises InvalidPayload if they are too few."""
    signers = signers_of(policy.operator, payload_type, body, signatures)
    valid = [one for one in signers if one.until is None or now < one.until]
    if len(valid) >= policy.threshold:
        return tuple(one.name for one in valid)
    expired = [one.name for one in signers if one not in valid]
    late = f"; the key of {', '.join(expired)} has expired" if expired else ""
    needs = "a signature" if policy.threshold == 1 else f"{policy.threshold} signatures"
    raise InvalidPayload(f"It needs {needs} of operators that this machine knows, and has {len(valid) or 'none'}{late}")


def signers_of(
    operators: Sequence[Operator], payload_type: str, body: bytes, signatures: Sequence[dsse.Signature]
) -> list[Operator]:
    """Whose good signatures these are, each once. Raises InvalidPayload for what is no signature."""
    if len(signatures) > dsse.SIGNATURES_MAX:
        raise InvalidPayload(f"It has {len(signatures)} signatures, and at most {dsse.SIGNATURES_MAX} are looked at")
    signed = dsse.pae(payload_type, body)
    found: dict[str, Operator] = {}
    for signature in signatures:
        raw = dsse.decoded(signature.sig, "sig")
        for one in operators:
            if signature.keyid in ("", one.key_id) and _verifies(one, signed, raw):
                found[one.key] = one
    return list(found.values())


def _verifies(operator: Operator, signed: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(bytes.fromhex(operator.key)).verify(signed, signature)
    except (BadSignatureError, ValueError):
        return False
    return True
