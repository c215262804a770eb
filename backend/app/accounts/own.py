"""What people do about their own account once they are signed in: see and end sessions, change the password, show again
that it is them.

Invariant: a new password ends every other session in the same transaction. API tokens stay: they are not signed in with
the password, and stand in a list of their own.
"""

from collections.abc import Sequence

import structlog

from app.accounts import factors, repository
from app.accounts.models import Session, User
from app.accounts.passwords import Passwords, check_password
from app.accounts.principal import Principal
from app.accounts.proof import require_proof
from app.accounts.throttle import SignInThrottle
from app.accounts.two_factor import TwoFactor
from app.audit.actions import Action
from app.clock import Clock
from app.db import Database
from app.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from app.hints import HintKind
from app.uow import UnitOfWork

log = structlog.get_logger()


class OwnAccount:
    """The account of whoever asks."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        passwords: Passwords,
        throttle: SignInThrottle,
        two_factor: TwoFactor,
        clock: Clock,
    ) -> None:
        self._uow = uow
        self._db = db
        self._passwords = passwords
        self._throttle = throttle
        self._two_factor = two_factor
        self._clock = clock

    async def sessions(self, principal: Principal) -> Sequence[Session]:
        """Where this user is signed in, the latest used first."""
        async with self._db.read() as session:
            return await repository.sessions_of(session, principal.user_id, self._clock())

    async def end_session(self, principal: Principal, session_id: str) -> None:
        """Sign this user out there, at once. Raises NotFound."""
        async with self._uow.begin() as unit:
            theirs = (Session.id == session_id, Session.user_id == principal.user_id)
            if not await repository.delete_session(unit.session, *theirs):
                raise NotFound("There is no such session.")
            unit.record(principal.actor, Action.USER_SESSION_ENDED, principal.user_id, principal.email, id=session_id)
            unit.hint(HintKind.SIGNED_OUT, user_id=principal.user_id)

    async def change_password(self, principal: Principal, current: str, new: str) -> None:
        """Another password, for who knows the one until now; other sessions end.

        Raises InvalidInput (``wrong_password``, or for one that is no good), TooManyAttempts, Unavailable, and
        ProofRequired where there is a second factor.
        """
        check_password(new)
        if new == current:
            raise InvalidInput("The new password is the one that you have.", code="same_password")
        if await self._two_factor.is_on(principal):
            require_proof(principal, self._clock(), "Changing the password")
        stored = await self._check(principal, current)
        password_hash = await self._passwords.hash(new)
        async with self._uow.begin() as unit:
            row = await unit.session.get(User, principal.user_id, with_for_update=True)
            if row is None or row.disabled_at or row.password_hash != stored:
                raise Unauthenticated("The password was changed meanwhile; sign in again.")
            row.password_hash, row.password_changed_at = password_hash, self._clock()
            others = (Session.user_id == row.id, Session.id != (principal.session_id or ""))
            ended = await repository.delete_session(unit.session, *others)
            await factors.end_challenges(unit.session, row.id)
            unit.record(principal.actor, Action.USER_PASSWORD_CHANGED, row.id, row.email, sessions_ended=ended)
            unit.hint(HintKind.SIGNED_OUT, user_id=row.id)
        log.info("user.password_changed", user_id=principal.user_id, source_ip=principal.source_ip)

    async def turn_off_two_factor(self, principal: Principal, password: str, code: str) -> None:
        """Sign in with the password alone again, for who knows it and has a code.

        Raises InvalidInput (``wrong_password``, ``wrong_code``), NotFound, TooManyAttempts and Unavailable.
        """
        await self._check(principal, password)
        await self._two_factor.turn_off(principal, code)

    async def prove(self, principal: Principal, password: str | None, code: str | None) -> None:
        """Show again that it is them: by a code where there is a second factor, else by the password.

        Raises Forbidden for an API token, InvalidInput, TooManyAttempts and Unavailable.
        """
        if principal.session_id is None:
            raise Forbidden("An API token proves nothing: its scopes say what it may.", code="session_needed")
        if await self._two_factor.is_on(principal):
            if not code:
                raise InvalidInput("Enter a code of your authenticator, or a recovery code.", code="code_needed")
            await self._two_factor.prove(principal, code)
            return
        if not password:
            raise InvalidInput("Enter your password.", code="password_needed")
        await self._check(principal, password)
        async with self._uow.begin() as unit:
            await repository.prove_session(unit.session, principal.session_id, self._clock())
            unit.record(principal.actor, Action.USER_PROVEN, principal.user_id, principal.email)

    async def _check(self, principal: Principal, password: str) -> str | None:
        """The stored hash. Raises InvalidInput when ``password`` is not the one behind it."""
        self._throttle.take(principal.email, principal.source_ip)
        async with self._db.read() as session:
            user = await session.get(User, principal.user_id)
        stored = user.password_hash if user else None
        matches, _ = await self._passwords.verify(password, stored)
        if not matches:
            log.warning("user.password_refused", user_id=principal.user_id, source_ip=principal.source_ip)
            raise InvalidInput("The password is wrong.", code="wrong_password")
        self._throttle.forgive(principal.email, principal.source_ip)
        return stored
