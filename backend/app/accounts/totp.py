"""One-time codes out of the time, as RFC 6238 has them: six digits, 30 seconds, SHA-1, which every authenticator takes.

Invariant: checking a code takes as long for a wrong one as for a right one, whichever of the steps it is of.
"""

import base64
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
DRIFT_STEPS = 1
"""How many steps the clock of a telephone may be off, either way."""
_SECRET_BYTES = 20  # as long as what SHA-1 makes: RFC 4226, 4, R6
_ISSUER = "DeployX"


def new_secret() -> str:
    """A random secret of 160 bits in base32."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """The code of a step (RFC 4226, 5.3)."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(moment: datetime) -> int:
    """Which step it is."""
    return int(moment.timestamp()) // STEP_S


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The step that ``code`` is of, if it is near enough to ``now``."""
    current, found = step_of(now), None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            found = step
    return found


def looks_like_code(text: str) -> bool:
    """Whether it could be a code at all."""
    return len(text) == DIGITS and text.isascii() and text.isdecimal()


def uri(secret: str, email: str) -> str:
    """What an authenticator reads out of the QR code."""
    return f"otpauth://totp/{quote(f'{_ISSUER}:{email}')}?{urlencode({'secret': secret, 'issuer': _ISSUER})}"
