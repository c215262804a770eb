"""The second step of signing in, for who has a second factor.

A right password gives a challenge instead of a session. Invariant: a challenge signs in its own user, once, within
``CHALLENGE_S``, and nothing else can be done with it; a new password, or any change of the factors, ends it.
"""

from datetime import timedelta

import structlog

from app.accounts import factors, totp
from app.accounts.codes import Codes, plain
from app.accounts.hashing import secret_hash
from app.accounts.models import SignInChallenge, User
from app.accounts.sessions import Browser, open_session
from app.accounts.throttle import SignInThrottle
from app.audit.actions import Action, Actor, ActorKind
from app.clock import Clock
from app.db import Database
from app.errors import Unauthenticated
from app.uow import Unit, UnitOfWork
from deployx_protocol import tokens

CHALLENGE_S = 300

log = structlog.get_logger()


class SecondStep:
    """Between a right password and a session."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        codes: Codes,
        throttle: SignInThrottle,
        clock: Clock,
        session_lifetime_s: int,
    ) -> None:
        self._uow = uow
        self._db = db
        self._codes = codes
        self._throttle = throttle.codes
        self._clock = clock
        self._session_lifetime_s = session_lifetime_s

    async def challenge(self, unit: Unit, user: User) -> str | None:
        """What ``user``, whose password was right, needs for the second step; None where there is none."""
        if await factors.confirmed(unit.session, user.id) is None:
            return None
        token = tokens.new_secret()
        expires_at = self._clock() + timedelta(seconds=CHALLENGE_S)
        unit.session.add(SignInChallenge(token_hash=secret_hash(token), user_id=user.id, expires_at=expires_at))
        return token

    async def sign_in(self, challenge: str, code: str, browser: Browser) -> tuple[User, str]:
        """The user and the cookie's value.

        Raises Unauthenticated (``challenge_expired``, ``wrong_code``) and TooManyAttempts.
        """
        token_hash, code = secret_hash(challenge), plain(code)
        async with self._db.read() as session:
            user = await factors.challenged(session, token_hash, self._clock())
        if user is None:
            raise _expired()
        attempt = (user.email, browser.address, totp.looks_like_code(code))
        self._throttle.take(*attempt)
        cookie = ""
        async with self._uow.begin() as unit:
            current = await unit.session.get(User, user.id, with_for_update=True)
            kind = await self._codes.spend(unit, user.id, code)
            if kind:
                taken = await factors.take_challenge(unit.session, token_hash, self._clock())
                if current is None or current.disabled_at or not taken:
                    raise _expired()  # and the code is as good as before
                cookie = await open_session(
                    unit, current, browser, self._clock(), self._session_lifetime_s, second_factor=kind
                )
            else:
                who = Actor(ActorKind.NOBODY, user.email, source_ip=browser.address)
                unit.record(who, Action.USER_CODE_REFUSED, user.id, user.email, purpose="signing in")
        if not cookie:
            log.warning("user.code_refused", user_id=user.id, source_ip=browser.address)
            raise Unauthenticated("This code is wrong, or was used already.", code="wrong_code")
        self._throttle.forgive(*attempt)
        log.info("user.signed_in", user_id=user.id, source_ip=browser.address, second_factor=kind)
        return user, cookie


def _expired() -> Unauthenticated:
    return Unauthenticated("Too much time went by; sign in again.", code="challenge_expired")
