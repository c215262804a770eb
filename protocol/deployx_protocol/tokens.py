"""Enrolment tokens: ``dxe_<origin in hex>_<secret in base62>``.

A token names its server, so that no agent ever sends it to another one.
"""

import secrets
import string

ENROLLMENT_PREFIX = "dxe_"
API_PREFIX = "dxp_"
INVITATION_PREFIX = "dxi_"
_BASE62 = string.digits + string.ascii_letters
_HEX = "0123456789abcdef"
_SECRET_LENGTH = 43  # 62^43 > 2^256
_RANDOM_BYTES = 64
_DIGIT_OF_BYTE = (_BASE62 * 5)[:256].encode()
_UNFAIR = bytes(range(256 - 256 % len(_BASE62), 256))
"""Bytes that would make some digits more likely than others."""


def new_secret() -> str:
    """A random secret of 256 bits, and a little more, in base62."""
    secret = b""
    while len(secret) < _SECRET_LENGTH:  # one time is enough, as good as always
        secret = secrets.token_bytes(_RANDOM_BYTES).translate(_DIGIT_OF_BYTE, _UNFAIR)
    return secret[:_SECRET_LENGTH].decode()


def new_enrollment_token(origin: str) -> str:
    """A token for agents that dial ``origin`` (``scheme://host[:port]``)."""
    return f"{ENROLLMENT_PREFIX}{origin.encode().hex()}_{new_secret()}"


def enrollment_origin(token: str) -> str:
    """The origin that ``token`` names. Raises ValueError with a sentence when it is not an enrolment token."""
    try:
        origin_hex, secret = token.removeprefix(ENROLLMENT_PREFIX).split("_")
        # bytes.fromhex takes white space and capitals: then two texts would be one token, and a log would miss one.
        origin = bytes.fromhex(origin_hex).decode() if all(c in _HEX for c in origin_hex) else ""
    except ValueError:
        origin = secret = ""
    if not (token.startswith(ENROLLMENT_PREFIX) and "://" in origin and secret and all(c in _BASE62 for c in secret)):
        raise ValueError("This is not an enrolment token; it should look like dxe_…_….")
    return origin
