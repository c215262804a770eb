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
_SECRET_BITS = 256
_SECRET_LENGTH = 43  # 62^43 > 2^256


def new_secret() -> str:
    """A random secret of 256 bits in base62."""
    number, digits = secrets.randbits(_SECRET_BITS), list[str]()  # the kernel is asked once, not for each digit
    for _ in range(_SECRET_LENGTH):
        number, digit = divmod(number, len(_BASE62))
        digits.append(_BASE62[digit])
    return "".join(digits)


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
