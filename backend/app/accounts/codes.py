"""What stands in for a second factor: codes of an authenticator, and recovery codes for when it is lost.

Invariant: each is good once, however many come at once.
"""

import secrets
from uuid import uuid4

import structlog

from app.accounts import factors, totp
from app.accounts.hashing import secret_hash
from app.accounts.models import Factor
from app.accounts.sealing import Sealer, Unreadable
from app.clock import Clock
from app.uow import Unit

RECOVERY_CODES = 10
_RECOVERY_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 that are told apart on paper: 5 bits each
_RECOVERY_LENGTH = 16  # 80 bits: nobody guesses one, and a fast hash of it keeps it

log = structlog.get_logger()


class Codes:
    """Checks codes, and uses them up."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock

    def new_authenticator(self, user_id: int, secret: str) -> Factor:
        """A row for an authenticator with this secret, which does not count yet. Raises Unavailable."""
        factor = Factor(id=str(uuid4()), user_id=user_id, kind=factors.TOTP, created_at=self._clock(), last_step=0)
        factor.secret = self._sealer.seal(secret.encode(), _purpose(factor))
        return factor

    async def spend(self, unit: Unit, user_id: int, code: str) -> str | None:
        """Use up ``code``, as ``plain`` has it: which kind it was; None if it is no good (any more)."""
        if totp.looks_like_code(code):
            factor = await factors.confirmed(unit.session, user_id)
            return factors.TOTP if factor and await self.takes(unit, factor, code) else None
        taken = await factors.take_recovery_code(unit.session, user_id, secret_hash(code))
        return "recovery code" if taken else None

    async def takes(self, unit: Unit, factor: Factor, code: str) -> bool:
        """Whether ``factor`` shows ``code`` about now, and it was not used before; from now on it was."""
        try:
            secret = self._sealer.open(factor.secret, _purpose(factor)).decode()
        except Unreadable:
            log.error("two_factor.unreadable", user_id=factor.user_id, mend="bring the server's key back, or reset it")
            return False
        now = self._clock()
        step = totp.matching_step(secret, code, now)
        return step is not None and await factors.take_step(unit.session, factor.id, step, now)

    async def keep_recovery_codes(self, unit: Unit, user_id: int, codes: list[str]) -> None:
        """These, and no others, are good from now on."""
        await factors.replace_recovery_codes(unit.session, user_id, [secret_hash(plain(code)) for code in codes])


def plain(code: str) -> str:
    """A code as it is compared, however it was typed."""
    return "".join(character for character in code.lower() if character not in " -\t\r\n")


def new_recovery_codes() -> list[str]:
    """Ten."""
    return [new_recovery_code() for _ in range(RECOVERY_CODES)]


def new_recovery_code() -> str:
    """Four groups of four."""
    letters = "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_LENGTH))
    return "-".join(letters[start : start + 4] for start in range(0, _RECOVERY_LENGTH, 4))


def _purpose(factor: Factor) -> str:
    return f"factor {factor.id} of user {factor.user_id}"
