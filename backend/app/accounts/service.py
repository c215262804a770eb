"""What people can do about themselves: sign in and out, API tokens; and what the command line does about people.

Invariants: only hashes of secrets are stored; an unknown user and a wrong password cannot be told apart; and when a
password is reset or a user is disabled, every session and token of that user is gone in the same transaction.
"""

import contextlib
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from app.accounts import people, repository
from app.accounts.codes import Codes
from app.accounts.hashing import secret_hash
from app.accounts.invitations import KEPT_FOR, Invitations
from app.accounts.models import ApiToken, Factor, Invitation, Session, SignInChallenge, User
from app.accounts.own import OwnAccount
from app.accounts.passwords import Passwords, check_password
from app.accounts.people import People
from app.accounts.permissions import Permission, Role, TokenScope
from app.accounts.principal import Principal
from app.accounts.proof import require_proof
from app.accounts.sealing import Sealer
from app.accounts.second_step import CHALLENGE_S, SecondStep
from app.accounts.sessions import Browser, open_session
from app.accounts.throttle import SignInThrottle
from app.accounts.two_factor import SETTING_UP, TwoFactor
from app.audit.actions import SERVER, Action, Actor, ActorKind
from app.audit.notes import Notes
from app.clock import Clock, utcnow
from app.db import Database
from app.errors import Conflict, InvalidInput, NotFound, SecondFactorRequired, Unauthenticated, Unavailable
from app.hints import HintKind
from app.pruning import delete_where
from app.settings import EMAIL_MAX, LOOKS_LIKE_EMAIL, Settings
from app.uow import UnitOfWork
from deployx_protocol import tokens

TOKENS_PER_USER_MAX = 100
_TOUCH_EVERY = timedelta(minutes=1)
_REFUSAL_REPEATED_S = 60.0
_WRONG = "The address or the password is wrong."
_NOT_SIGNED_IN = "Sign in, or send a valid API token."

log = structlog.get_logger()


class AccountService:
    """Users, sessions and API tokens on one database."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        settings: Settings,
        *,
        clock: Clock = utcnow,
        throttle: SignInThrottle | None = None,
    ) -> None:
        self._uow = uow
        self._db = db
        self.session_lifetime_s = settings.session_lifetime_s
        self._clock = clock
        self._throttle = throttle or SignInThrottle()
        self._passwords = Passwords()
        codes = Codes(Sealer(settings), clock)
        self.two_factor = TwoFactor(uow, db, codes, self._throttle, clock)
        self.second_step = SecondStep(uow, db, codes, self._throttle, clock, self.session_lifetime_s)
        self.own = OwnAccount(uow, db, self._passwords, self._throttle, self.two_factor, clock)
        self.people = People(uow, db, clock)
        self.invitations = Invitations(uow, db, self._passwords, next(iter(settings.public_url), ""), clock)
        self._refusals = Notes(uow, _REFUSAL_REPEATED_S)

    def close(self) -> None:
        """End the threads that hash."""
        self._passwords.close()

    # ------------------------------------------------------------ sessions

    async def login(
        self, email: str, password: str, *, address: str, user_agent: str = "", replaces: str = ""
    ) -> tuple[User, str]:
        """Sign in: the user and the cookie's value. ``replaces`` is the cookie that the browser had until now.

        Raises Unauthenticated (code ``invalid_credentials``), SecondFactorRequired and TooManyAttempts.
        """
        email = email.strip().lower()
        self._throttle.take(email, address)
        async with self._db.read() as session:
            user = await repository.user_by_email(session, email)
        stored = user.password_hash if user and user.disabled_at is None else None
        matches, better_hash = await self._passwords.verify(password, stored)
        if not matches or user is None:
            log.warning("user.sign_in_refused", source_ip=address, user_id=user.id if user else None)
            await self._record_refused_sign_in(user, email, address)
            raise Unauthenticated(_WRONG, code="invalid_credentials")
        self._throttle.forgive(email, address)
        async with self._uow.begin() as unit:
            current = await unit.session.get(User, user.id, with_for_update=True)
            if current is None or current.disabled_at or current.password_hash != user.password_hash:
                raise Unauthenticated(_WRONG, code="invalid_credentials")  # it changed while the hash was computed
            if better_hash:
                current.password_hash = better_hash
            challenge = await self.second_step.challenge(unit, current)
            if challenge is None:
                browser = Browser(address, user_agent, replaces)
                cookie = await open_session(unit, current, browser, self._clock(), self.session_lifetime_s)
        if challenge is not None:
            raise SecondFactorRequired(challenge, CHALLENGE_S)
        log.info("user.signed_in", user_id=user.id, source_ip=address)
        return user, cookie

    async def _record_refused_sign_in(self, user: User | None, email: str, address: str) -> None:
        # people type passwords into the wrong field: what does not look like an address is not kept
        name = email if LOOKS_LIKE_EMAIL.fullmatch(email) else ""
        async with self._uow.begin() as unit:
            unit.record(
                Actor(ActorKind.NOBODY, name, source_ip=address),
                Action.USER_SIGN_IN_REFUSED,
                user.id if user else "",
                user.email if user else "",
            )

    async def logout(self, principal: Principal) -> None:
        """End the session that is asking; an API token stays as it is."""
        if principal.session_id is None:
            return
        async with self._uow.begin() as unit:
            await repository.delete_session(unit.session, Session.id == principal.session_id)
            unit.record(principal.actor, Action.USER_SIGNED_OUT, principal.user_id, principal.email)
            unit.hint(HintKind.SIGNED_OUT, user_id=principal.user_id)

    async def authenticate_cookie(self, value: str, *, address: str = "") -> Principal:
        """Whose session this cookie, sent from ``address``, is. Raises Unauthenticated."""
        now = self._clock()
        async with self._db.read() as session:
            found = await repository.session_by_hash(session, secret_hash(value), now)
        if found is None:
            raise Unauthenticated(_NOT_SIGNED_IN)
        await self._touch(Session, found, now)
        return Principal(
            found.user_id,
            found.email,
            found.role,
            session_id=found.id,
            source_ip=address,
            proven_at=found.proven_at,
        )

    async def authenticate_token(self, token: str, *, address: str = "") -> Principal:
        """Whose API token this, sent from ``address``, is. Raises Unauthenticated."""
        if not token.startswith(tokens.API_PREFIX):
            raise Unauthenticated(_NOT_SIGNED_IN)
        now = self._clock()
        async with self._db.read() as session:
            found = await repository.token_by_hash(session, secret_hash(token), now)
        if found is None:
            raise Unauthenticated(_NOT_SIGNED_IN)
        await self._touch(ApiToken, found, now)
        scopes = None if found.scopes is None else frozenset(found.scopes)
        return Principal(found.user_id, found.email, found.role, token_id=found.id, source_ip=address, scopes=scopes)

    async def alive(self, session_ids: Collection[str], token_ids: Collection[str]) -> dict[str, str]:
        """Which of these may still speak for their users (neither ended, nor expired, nor disabled), in which role."""
        async with self._db.read() as session:
            return await repository.alive(session, session_ids, token_ids, self._clock())

    async def _touch(self, model: type[Session] | type[ApiToken], found: repository.Found, now: datetime) -> None:
        if found.last_used_at and now - found.last_used_at < _TOUCH_EVERY:
            return
        try:
            async with self._db.write() as session:
                await repository.touch(session, model, found.id, now)
        except Unavailable:
            log.warning("session.use_not_recorded", user_id=found.user_id)

    async def prune(self) -> int:
        """Remove what has expired; how many rows that were. Call it now and then. Raises Unavailable."""
        now = self._clock()
        sessions = await delete_where(self._db, Session, Session.expires_at <= now)
        sessions += await delete_where(self._db, Invitation, Invitation.expires_at <= now - KEPT_FOR)
        await delete_where(self._db, SignInChallenge, SignInChallenge.expires_at <= now)
        await delete_where(self._db, Factor, Factor.confirmed_at.is_(None), Factor.created_at <= now - SETTING_UP)
        return sessions + await delete_where(self._db, ApiToken, ApiToken.expires_at <= now)

    async def record_refused(self, principal: Principal, permission: Permission, what: str) -> None:
        """Leave in the record that this user asked for what their role does not allow; repeats not more than once a
        minute each. Raises Unavailable."""
        key, limits = (principal.user_id, what), {"permission": permission, "role": principal.role}
        await self._refusals.note(key, principal.actor, Action.REQUEST_REFUSED, object_name=what, **limits)

    # ------------------------------------------------------------ API tokens

    async def create_token(
        self,
        principal: Principal,
        name: str,
        expires_in_s: int | None = None,
        scopes: Collection[TokenScope] | None = None,
    ) -> tuple[ApiToken, str]:
        """A token for a program of this user, limited to ``scopes``: the row, and the token, which is kept nowhere.

        Raises ProofRequired and Conflict.
        """
        require_proof(principal, self._clock(), "Making an API token")
        token = tokens.API_PREFIX + tokens.new_secret()
        now = self._clock()
        row = ApiToken(
            id=str(uuid4()),
            name=name,
            token_hash=secret_hash(token),
            user_id=principal.user_id,
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in_s) if expires_in_s else None,
            scopes=None if scopes is None else sorted(scopes),
            last_used_at=None,
        )
        async with self._uow.begin() as unit:
            if await repository.count_tokens(unit.session, principal.user_id) >= TOKENS_PER_USER_MAX:
                raise Conflict(f"You have {TOKENS_PER_USER_MAX} API tokens; delete one you no longer use.")
            unit.session.add(row)
            unit.record(
                principal.actor, Action.API_TOKEN_CREATED, row.id, name, expires_in_s=expires_in_s, scopes=row.scopes
            )
        return row, token

    async def list_tokens(self, principal: Principal) -> list[ApiToken]:
        """This user's tokens, newest first."""
        async with self._db.read() as session:
            return await repository.tokens_of(session, principal.user_id)

    async def delete_token(self, principal: Principal, token_id: str) -> None:
        """End one of this user's tokens, at once. Raises NotFound."""
        async with self._uow.begin() as unit:
            name = await repository.delete_token(unit.session, principal.user_id, token_id)
            if name is None:
                raise NotFound("There is no such API token.")
            unit.record(principal.actor, Action.API_TOKEN_DELETED, token_id, name)
            unit.hint(HintKind.SIGNED_OUT, user_id=principal.user_id)

    # ------------------------------------------------------------ users

    async def get_user(self, principal: Principal) -> User:
        """The row of who is asking. Raises Unauthenticated when it is gone."""
        async with self._db.read() as session:
            user = await session.get(User, principal.user_id)
        if user is None:
            raise Unauthenticated(_NOT_SIGNED_IN)
        return user

    async def has_users(self) -> bool:
        """Whether anyone could sign in."""
        async with self._db.read() as session:
            return await repository.any_user(session)

    async def create_first_admin(self, email: str, password: str) -> None:
        """An administrator, unless someone is there already (another server may have been first)."""
        if not await self.has_users():
            with contextlib.suppress(Conflict):
                await self.create_user(email, password, Role.ADMIN)

    async def first_admin(self) -> User:
        """The administrator who has been there longest. Raises NotFound."""
        async with self._db.read() as session:
            user = await repository.first_with_role(session, Role.ADMIN)
        if user is None:
            raise NotFound("There is no administrator yet: run `deployx-server create-admin EMAIL`.")
        return user

    async def find_user(self, email: str) -> User:
        """The user with this address. Raises NotFound."""
        async with self._db.read() as session:
            return _known(await repository.user_by_email(session, email.strip().lower()), email)

    async def create_user(self, email: str, password: str, role: Role, *, by: Actor = SERVER) -> User:
        """Someone new. Raises InvalidInput and, when the address is taken, Conflict."""
        email = check_email(email)
        password_hash = await self._passwords.hash(check_password(password))
        async with self._uow.begin() as unit:
            return await people.add(unit, email, password_hash, role, self._clock(), by)

    async def reset_password(self, email: str, password: str, *, by: Actor = SERVER) -> None:
        """Another password; whoever was signed in is signed out. Raises InvalidInput and NotFound."""
        password_hash = await self._passwords.hash(check_password(password))
        async with self._uow.begin() as unit:
            user = _known(await repository.user_by_email(unit.session, email.strip().lower()), email)
            user.password_hash, user.password_changed_at = password_hash, self._clock()
            await repository.end_all(unit.session, user.id)
            unit.record(by, Action.USER_PASSWORD_RESET, user.id, user.email)
            unit.hint(HintKind.SIGNED_OUT, user_id=user.id)
        log.info("user.password_reset", user_id=user.id)

    async def disable(self, email: str, *, by: Actor = SERVER) -> None:
        """Shut someone out at once; the devices stay. Raises NotFound."""
        async with self._uow.begin() as unit:
            user = _known(await repository.user_by_email(unit.session, email.strip().lower()), email)
            user.disabled_at = user.disabled_at or self._clock()
            await people.shut_out(unit, user, by)

    async def enable(self, email: str, *, by: Actor = SERVER) -> None:
        """Let someone in again, with the password that they had. Raises NotFound."""
        async with self._uow.begin() as unit:
            user = _known(await repository.user_by_email(unit.session, email.strip().lower()), email)
            people.let_in(unit, user, by)

    async def set_role(self, email: str, role: Role, *, by: Actor = SERVER) -> None:
        """Let someone do more, or less, from now on; they stay signed in. Raises NotFound."""
        async with self._uow.begin() as unit:
            user = _known(await repository.user_by_email(unit.session, email.strip().lower()), email)
            people.change_role(unit, user, role, by)


def check_email(email: str) -> str:
    """``email`` in lower case. Raises InvalidInput unless it looks like an address."""
    email = email.strip().lower()
    if len(email) > EMAIL_MAX or not email.isprintable() or not LOOKS_LIKE_EMAIL.fullmatch(email):
        raise InvalidInput("An address looks like name@example.com.")
    return email


def _known(user: User | None, email: str) -> User:
    if user is None:
        raise NotFound(f"There is no user {email}.")
    return user
