"""What people do about their second factor: set it up, make recovery codes, turn it off; and asking for it again.

Invariants: an authenticator counts once a code of it was seen; whatever changes how someone signs in ends their other
sessions in the same transaction. API tokens stay as they are: they are a factor of their own.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.accounts import factors, proof, repository, totp
from app.accounts.codes import Codes, new_recovery_codes, plain
from app.accounts.models import Session, User
from app.accounts.principal import Principal
from app.accounts.qr import QrCode, qr_code
from app.accounts.throttle import SignInThrottle
from app.audit.actions import SERVER, Action, Actor
from app.clock import Clock
from app.db import Database
from app.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from app.hints import HintKind
from app.uow import Unit, UnitOfWork

SETTING_UP = timedelta(hours=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Status:
    """How someone's second factor is; ``since`` is None while there is none."""

    since: datetime | None = None
    last_used_at: datetime | None = None
    recovery_codes_left: int = 0


@dataclass(frozen=True, slots=True)
class Setup:
    """What an authenticator has to be told, once."""

    secret: str
    uri: str
    qr: QrCode


class TwoFactor:
    """The second factors of everyone, each for whoever has it."""

    def __init__(self, uow: UnitOfWork, db: Database, codes: Codes, throttle: SignInThrottle, clock: Clock) -> None:
        self._uow = uow
        self._db = db
        self._codes = codes
        self._throttle = throttle.codes
        self._clock = clock

    async def status(self, principal: Principal) -> Status:
        """How the asking user's second factor is."""
        async with self._db.read() as session:
            factor = await factors.confirmed(session, principal.user_id)
            left = await factors.recovery_codes_left(session, principal.user_id)
        return Status(factor.confirmed_at, factor.last_used_at, left) if factor else Status()

    async def is_on(self, principal: Principal) -> bool:
        """Whether this user signs in with a second factor."""
        return (await self.status(principal)).since is not None

    async def begin(self, principal: Principal) -> Setup:
        """What to tell an authenticator; it counts after ``confirm``. Raises Forbidden, ProofRequired, Conflict."""
        _in_a_browser(principal)
        proof.require_proof(principal, self._clock(), "Setting up two-factor sign-in")
        secret = totp.new_secret()
        factor = self._codes.new_authenticator(principal.user_id, secret)
        async with self._uow.begin() as unit:
            await _lock(unit, principal)
            if await factors.confirmed(unit.session, principal.user_id):
                raise Conflict("Two-factor sign-in is on; turn it off before you set it up anew.")
            await factors.forget_awaited(unit.session, principal.user_id)
            unit.session.add(factor)
        uri = totp.uri(secret, principal.email)
        return Setup(secret, uri, qr_code(uri))

    async def confirm(self, principal: Principal, code: str) -> list[str]:
        """Turn it on, for who has a code of it: the recovery codes, which are kept nowhere. Other sessions end.

        Raises Forbidden, NotFound, InvalidInput (``wrong_code``) and TooManyAttempts.
        """
        _in_a_browser(principal)
        attempt = (principal.email, principal.source_ip, True)
        self._throttle.take(*attempt)
        made = new_recovery_codes()
        async with self._uow.begin() as unit:
            await _lock(unit, principal)
            factor = await factors.awaited(unit.session, principal.user_id, self._clock() - SETTING_UP)
            if factor is None:
                raise NotFound("Nothing is being set up; begin again.")
            if not await self._codes.takes(unit, factor, plain(code)):
                raise InvalidInput("This code is wrong. Is the clock of the telephone right?", code="wrong_code")
            factor.confirmed_at = self._clock()
            await self._codes.keep_recovery_codes(unit, principal.user_id, made)
            ended = await _end_others(unit, principal)
            self._record(unit, principal, Action.TWO_FACTOR_ENABLED, sessions_ended=ended)
        self._throttle.forgive(*attempt)
        log.info("user.two_factor_enabled", user_id=principal.user_id, source_ip=principal.source_ip)
        return made

    async def renew_recovery_codes(self, principal: Principal) -> list[str]:
        """Other recovery codes; those until now are no good. Raises Forbidden, ProofRequired, NotFound."""
        _in_a_browser(principal)
        proof.require_proof(principal, self._clock(), "Making recovery codes")
        made = new_recovery_codes()
        async with self._uow.begin() as unit:
            await _lock(unit, principal)
            if await factors.confirmed(unit.session, principal.user_id) is None:
                raise _off()
            await self._codes.keep_recovery_codes(unit, principal.user_id, made)
            self._record(unit, principal, Action.RECOVERY_CODES_MADE)
        return made

    async def turn_off(self, principal: Principal, code: str) -> None:
        """Turn it off, for who has a code, and whose password was seen; other sessions end.

        Raises NotFound, InvalidInput (``wrong_code``) and TooManyAttempts.
        """

        async def forget(unit: Unit, kind: str) -> None:
            await factors.forget(unit.session, principal.user_id)
            ended = await _end_others(unit, principal)
            self._record(unit, principal, Action.TWO_FACTOR_DISABLED, sessions_ended=ended, second_factor=kind)

        await self._with_code(principal, code, "turning it off", forget)
        log.info("user.two_factor_disabled", user_id=principal.user_id, source_ip=principal.source_ip)

    async def prove(self, principal: Principal, code: str) -> None:
        """Show by a code that it is them. Raises NotFound, InvalidInput (``wrong_code``) and TooManyAttempts."""

        async def proven(unit: Unit, kind: str) -> None:
            await repository.prove_session(unit.session, principal.session_id or "", self._clock())
            self._record(unit, principal, Action.USER_PROVEN, second_factor=kind)

        await self._with_code(principal, code, "asked again", proven)

    async def reset(self, email: str, *, by: Actor = SERVER) -> None:
        """Let someone in with the password alone again; whoever was signed in is signed out. Raises NotFound."""
        async with self._uow.begin() as unit:
            user = await repository.user_by_email(unit.session, email.strip().lower())
            if user is None:
                raise NotFound(f"There is no user {email}.")
            if not await factors.forget(unit.session, user.id):
                raise NotFound(f"{user.email} has no second factor.")
            await repository.delete_session(unit.session, Session.user_id == user.id)
            unit.record(by, Action.TWO_FACTOR_RESET, user.id, user.email)
            unit.hint(HintKind.SIGNED_OUT, user_id=user.id)
        log.info("user.two_factor_reset", user_id=user.id)

    async def _with_code(
        self, principal: Principal, code: str, purpose: str, do: Callable[[Unit, str], Awaitable[None]]
    ) -> None:
        """Use up a code of who asks, and ``do`` in the same transaction what it is for. A bad one is recorded."""
        code = plain(code)
        attempt = (principal.email, principal.source_ip, totp.looks_like_code(code))
        self._throttle.take(*attempt)
        async with self._uow.begin() as unit:
            await _lock(unit, principal)
            if await factors.confirmed(unit.session, principal.user_id) is None:
                raise _off()
            kind = await self._codes.spend(unit, principal.user_id, code)
            if kind:
                await do(unit, kind)
            else:
                self._record(unit, principal, Action.USER_CODE_REFUSED, purpose=purpose)
        if kind is None:
            log.warning("user.code_refused", user_id=principal.user_id, source_ip=principal.source_ip)
            raise InvalidInput("This code is wrong, or was used already.", code="wrong_code")
        self._throttle.forgive(*attempt)

    def _record(self, unit: Unit, principal: Principal, action: Action, **details: str | int) -> None:
        unit.record(principal.actor, action, principal.user_id, principal.email, **details)


async def _lock(unit: Unit, principal: Principal) -> None:
    """Wait for whoever else changes how this user signs in."""
    user = await unit.session.get(User, principal.user_id, with_for_update=True)
    if user is None or user.disabled_at:
        raise Unauthenticated("Sign in again.")


async def _end_others(unit: Unit, principal: Principal) -> int:
    others = (Session.user_id == principal.user_id, Session.id != (principal.session_id or ""))
    ended = await repository.delete_session(unit.session, *others)
    await factors.end_challenges(unit.session, principal.user_id)
    unit.hint(HintKind.SIGNED_OUT, user_id=principal.user_id)
    return ended


def _in_a_browser(principal: Principal) -> None:
    if principal.session_id is None:
        raise Forbidden("Two-factor sign-in is set up in the dashboard, not with an API token.", code="session_needed")


def _off() -> NotFound:
    return NotFound("Two-factor sign-in is off.")
