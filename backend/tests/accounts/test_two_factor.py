"""The second factor: set up, signed in with, recovered from, turned off; and the ways around it that may be tried."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts import totp
from app.accounts.models import Factor, RecoveryCode, SignInChallenge
from app.accounts.principal import Principal
from app.accounts.sealing import KEY_FILE
from app.accounts.service import AccountService
from app.accounts.sessions import Browser
from app.audit.models import AuditEntry
from app.clock import utcnow
from app.db import Database
from app.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    ProofRequired,
    SecondFactorRequired,
    TooManyAttempts,
    Unauthenticated,
)
from app.hints import Hint, HintKind
from app.settings import Settings
from app.uow import UnitOfWork
from tests.support.node import Serve
from tests.support.server import PASSWORD, Browse, MakePerson, ManualClock, Person

HERE = "127.0.0.1"
LOGIN = "/api/v1/auth/login"
SECOND = "/api/v1/auth/login/second-factor"
TWO_FACTOR = "/api/v1/auth/two-factor"


class Owner:
    """Somebody with a second factor, and the authenticator that shows its codes."""

    def __init__(self, accounts: AccountService, clock: ManualClock, person: Person) -> None:
        self.accounts = accounts
        self.clock = clock
        self.person = person
        self.secret = ""
        self.recovery_codes: list[str] = []

    async def principal(self) -> Principal:
        """Who is signed in in their browser."""
        return await self.accounts.authenticate_cookie(self.person.cookie, address=HERE)

    async def set_up(self) -> None:
        """Turn it on."""
        self.secret = (await self.accounts.two_factor.begin(await self.principal())).secret
        self.recovery_codes = await self.accounts.two_factor.confirm(await self.principal(), self.code())

    def code(self, later: int = 0) -> str:
        """What the authenticator shows, or will show some steps later."""
        return totp.code_at(self.secret, totp.step_of(self.clock()) + later)

    def wait(self) -> None:
        """Until the authenticator shows another code."""
        self.clock.advance(seconds=totp.STEP_S)

    async def challenge(self, address: str = HERE) -> str:
        """The first step: what the right password gives."""
        with pytest.raises(SecondFactorRequired) as asked:
            await self.accounts.login(self.person.email, PASSWORD, address=address)
        return asked.value.challenge

    async def sign_in(self, code: str, *, challenge: str = "", address: str = HERE) -> str:
        """Both steps; the cookie."""
        challenge = challenge or await self.challenge(address)
        _, cookie = await self.accounts.second_step.sign_in(challenge, code, Browser(address))
        return cookie


@pytest.fixture
async def ada(accounts: AccountService, clock: ManualClock, person: MakePerson) -> Owner:
    """Somebody who has turned it on, a moment ago."""
    owner = Owner(accounts, clock, await person())
    await owner.set_up()
    owner.wait()
    return owner


def code_of(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.specific_code)


async def actions(db: Database) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.seq)))


async def test_signing_in_takes_the_password_and_then_a_code(ada: Owner, db: Database) -> None:
    cookie = await ada.sign_in(ada.code())
    assert (await ada.accounts.authenticate_cookie(cookie)).user_id == ada.person.id
    ada.wait()
    assert await ada.sign_in(f" {ada.code()[:3]} {ada.code()[3:]}")
    done = await actions(db)
    assert done.count("user.signed_in") == 3
    assert "user.two_factor_enabled" in done


async def test_it_counts_only_once_a_code_was_seen(
    accounts: AccountService, clock: ManualClock, person: MakePerson
) -> None:
    owner = Owner(accounts, clock, await person())
    principal = await owner.principal()
    first = await accounts.two_factor.begin(principal)
    assert not await accounts.two_factor.is_on(principal)
    await accounts.login(owner.person.email, PASSWORD, address=HERE)  # the password is still enough
    owner.secret = (await accounts.two_factor.begin(principal)).secret
    assert owner.secret != first.secret
    with pytest.raises(InvalidInput) as refused:
        await accounts.two_factor.confirm(principal, totp.code_at(first.secret, totp.step_of(clock())))
    assert code_of(refused) == "wrong_code"
    assert len(set(await accounts.two_factor.confirm(principal, owner.code()))) == 10
    assert await accounts.two_factor.is_on(principal)
    with pytest.raises(NotFound):
        await accounts.two_factor.confirm(principal, owner.code(1))
    with pytest.raises(Conflict):
        await accounts.two_factor.begin(principal)


async def test_what_was_begun_an_hour_ago_is_over(
    accounts: AccountService, clock: ManualClock, person: MakePerson, db: Database
) -> None:
    owner = Owner(accounts, clock, await person())
    owner.secret = (await accounts.two_factor.begin(await owner.principal())).secret
    clock.advance(minutes=61)
    with pytest.raises(NotFound):
        await accounts.two_factor.confirm(await owner.principal(), owner.code())
    await accounts.prune()
    async with db.read() as session:
        assert list(await session.scalars(sa.select(Factor))) == []


async def test_what_is_over_is_removed_and_what_counts_stays(ada: Owner, db: Database) -> None:
    await ada.challenge()
    ada.clock.advance(minutes=61)
    await ada.accounts.prune()
    async with db.read() as session:
        assert len(list(await session.scalars(sa.select(Factor)))) == 1
        assert list(await session.scalars(sa.select(SignInChallenge))) == []


async def test_only_sealed_secrets_and_hashes_are_stored(ada: Owner, db: Database) -> None:
    await ada.challenge()
    async with db.read() as session:
        rows = [
            one for model in (Factor, RecoveryCode, SignInChallenge) for one in await session.scalars(sa.select(model))
        ]
    assert len(rows) == 12
    stored = " ".join(str(value) for row in rows for value in vars(row).values())
    assert ada.secret not in stored
    assert not any(code in stored or code.replace("-", "") in stored for code in ada.recovery_codes)


async def test_threat_14_a_code_is_taken_once(ada: Owner) -> None:
    code = ada.code()
    await ada.sign_in(code)
    with pytest.raises(Unauthenticated) as refused:
        await ada.sign_in(code)
    assert code_of(refused) == "wrong_code"
    with pytest.raises(Unauthenticated):
        await ada.sign_in(ada.code(-1))  # nor is one before it, though it was not used
    assert await ada.sign_in(ada.code(1))


async def test_threat_14_of_the_same_code_at_once_one_signs_in(ada: Owner) -> None:
    challenges = [await ada.challenge() for _ in range(4)]
    tried = await asyncio.gather(
        *(ada.sign_in(ada.code(), challenge=one) for one in challenges), return_exceptions=True
    )
    assert sum(isinstance(one, str) for one in tried) == 1, tried
    assert sum(isinstance(one, Unauthenticated) for one in tried) == 3, tried


async def test_threat_14_a_recovery_code_is_taken_once(ada: Owner) -> None:
    first, second = ada.recovery_codes[:2]
    challenges = [await ada.challenge() for _ in range(4)]
    tried = await asyncio.gather(*(ada.sign_in(first, challenge=one) for one in challenges), return_exceptions=True)
    assert sum(isinstance(one, str) for one in tried) == 1, tried
    with pytest.raises(Unauthenticated):
        await ada.sign_in(first)
    assert await ada.sign_in(second.upper().replace("-", " "))
    assert (await ada.accounts.two_factor.status(await ada.principal())).recovery_codes_left == 8


async def test_threat_14_a_challenge_signs_in_its_own_user_once_and_in_time(
    ada: Owner, person: MakePerson, clock: ManualClock
) -> None:
    bob = Owner(ada.accounts, clock, await person("bob@example.test"))
    await bob.set_up()
    bob.wait()
    hers = await ada.challenge()
    with pytest.raises(Unauthenticated) as refused:
        await bob.sign_in(bob.code(), challenge=hers)
    assert code_of(refused) == "wrong_code"
    assert await ada.sign_in(ada.code(), challenge=hers)
    ada.wait()
    for challenge in (hers, "", "x" * 43):
        with pytest.raises(Unauthenticated) as refused:
            await ada.accounts.second_step.sign_in(challenge, ada.code(), Browser(HERE))
        assert code_of(refused) == "challenge_expired"
    late = await ada.challenge()
    clock.advance(seconds=301)
    with pytest.raises(Unauthenticated) as refused:
        await ada.sign_in(ada.code(), challenge=late)
    assert code_of(refused) == "challenge_expired"
    assert await ada.sign_in(ada.code())  # the code was not used up by it


@pytest.mark.parametrize("how", ["password", "reset", "disable", "two_factor", "off"])
async def test_threat_15_whoever_is_between_password_and_code_begins_again(how: str, ada: Owner) -> None:
    accounts, principal = ada.accounts, await ada.principal()
    challenge = await ada.challenge()
    match how:
        case "password":
            await accounts.own.prove(principal, None, ada.recovery_codes[0])
            await accounts.own.change_password(await ada.principal(), PASSWORD, "another good password")
        case "reset":
            await accounts.reset_password(ada.person.email, "another good password")
        case "disable":
            await accounts.disable(ada.person.email)
        case "two_factor":
            await accounts.two_factor.reset(ada.person.email)
        case _:
            await accounts.own.turn_off_two_factor(principal, PASSWORD, ada.recovery_codes[0])
    with pytest.raises(Unauthenticated) as refused:
        await ada.sign_in(ada.code(), challenge=challenge)
    assert code_of(refused) == "challenge_expired"


async def test_threat_14_guessing_codes_is_throttled_and_the_owner_has_recovery_codes(ada: Owner, db: Database) -> None:
    wrong = "000000" if ada.code() != "000000" else "111111"
    refused = 0
    for number in range(4):  # from many addresses, and with a fresh challenge each time
        for _ in range(5):
            try:
                await ada.sign_in(wrong, address=f"192.0.2.{number}")
            except TooManyAttempts:
                break
            except Unauthenticated:
                refused += 1
    assert refused == 10
    assert (await actions(db)).count("user.code_refused") == 10
    with pytest.raises(TooManyAttempts):
        await ada.sign_in(ada.code(), address="198.51.100.1")
    assert await ada.sign_in(ada.recovery_codes[0], address="198.51.100.1")
    ada.clock.advance(minutes=5)
    assert await ada.sign_in(ada.code(), address="198.51.100.1")
    with pytest.raises(TooManyAttempts):  # what others tried is not forgiven by it
        for _ in range(3):
            with pytest.raises(Unauthenticated):
                await ada.sign_in(wrong, address="198.51.100.2")


async def test_threat_14_recovery_codes_are_throttled_for_each_address(ada: Owner) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await ada.sign_in("aaaa-aaaa-aaaa-aaaa")
    with pytest.raises(TooManyAttempts):
        await ada.sign_in(ada.recovery_codes[0])


async def test_other_recovery_codes_replace_those_until_now(ada: Owner) -> None:
    ada.clock.advance(minutes=6)
    with pytest.raises(ProofRequired):
        await ada.accounts.two_factor.renew_recovery_codes(await ada.principal())
    await ada.accounts.own.prove(await ada.principal(), None, ada.code())
    made = await ada.accounts.two_factor.renew_recovery_codes(await ada.principal())
    assert not set(made) & set(ada.recovery_codes)
    with pytest.raises(Unauthenticated):
        await ada.sign_in(ada.recovery_codes[0])
    assert await ada.sign_in(made[0])


async def test_turning_it_off_takes_password_and_code(ada: Owner, db: Database) -> None:
    own = ada.accounts.own
    for password, code, said in (("wrong password", ada.code(), "wrong_password"), (PASSWORD, "999", "wrong_code")):
        with pytest.raises(InvalidInput) as refused:
            await own.turn_off_two_factor(await ada.principal(), password, code)
        assert code_of(refused) == said
    await own.turn_off_two_factor(await ada.principal(), PASSWORD, ada.code())
    await ada.accounts.login(ada.person.email, PASSWORD, address=HERE)
    async with db.read() as session:
        left = [await session.scalar(sa.select(sa.func.count()).select_from(one)) for one in (Factor, RecoveryCode)]
    assert left == [0, 0]
    with pytest.raises(NotFound):
        await own.turn_off_two_factor(await ada.principal(), PASSWORD, ada.code())


@pytest.mark.parametrize("how", ["on", "off", "reset"])
async def test_threat_15_another_way_to_sign_in_ends_the_other_sessions(
    how: str, accounts: AccountService, clock: ManualClock, person: MakePerson, hints: list[Hint]
) -> None:
    owner = Owner(accounts, clock, await person())
    if how != "on":
        await owner.set_up()
        owner.wait()
        thief = await owner.sign_in(owner.code())
        owner.wait()
    else:
        _, thief = await accounts.login(owner.person.email, PASSWORD, address="192.0.2.66")
    hints.clear()
    if how == "on":
        await owner.set_up()
    elif how == "off":
        await accounts.own.turn_off_two_factor(await owner.principal(), PASSWORD, owner.code())
    else:
        await accounts.two_factor.reset(owner.person.email)
    assert Hint(HintKind.SIGNED_OUT, user_id=owner.person.id) in hints
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_cookie(thief)
    if how == "reset":
        with pytest.raises(Unauthenticated):
            await owner.principal()
        await accounts.login(owner.person.email, PASSWORD, address=HERE)
    else:
        await owner.principal()
    await accounts.authenticate_token(owner.person.token)  # a factor of its own


async def test_a_server_without_its_key_still_takes_recovery_codes(
    ada: Owner, uow: UnitOfWork, db: Database, settings: Settings
) -> None:
    (settings.data_dir / KEY_FILE).write_text("k" * 64)
    accounts = AccountService(uow, db, settings, clock=ada.clock)
    ada.accounts = accounts
    with pytest.raises(Unauthenticated):
        await ada.sign_in(ada.code())
    assert await ada.sign_in(ada.recovery_codes[0])
    accounts.close()


async def test_nobody_without_one_can_be_reset(accounts: AccountService, person: MakePerson) -> None:
    await person()
    for email in ("ada@example.test", "nobody@example.test"):
        with pytest.raises(NotFound):
            await accounts.two_factor.reset(email)


async def test_threat_15_a_stolen_session_sets_nothing_up(
    accounts: AccountService, clock: ManualClock, person: MakePerson
) -> None:
    owner = Owner(accounts, clock, await person())
    clock.advance(minutes=6)
    with pytest.raises(ProofRequired):
        await accounts.two_factor.begin(await owner.principal())
    token = await accounts.authenticate_token(owner.person.token)
    for attempt in (
        lambda: accounts.two_factor.begin(token),
        lambda: accounts.two_factor.confirm(token, "123456"),
        lambda: accounts.two_factor.renew_recovery_codes(token),
        lambda: accounts.own.prove(token, PASSWORD, None),
    ):
        with pytest.raises(Forbidden) as refused:
            await attempt()
        assert code_of(refused) == "session_needed"


async def test_over_http_from_the_first_step_to_the_last(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    here = browse(node, ada.browser)
    assert (await here.get(TWO_FACTOR)).json() == {"since": None, "last_used_at": None, "recovery_codes_left": 0}
    begun = (await here.post(TWO_FACTOR)).json()
    assert begun["secret"] in begun["uri"]
    assert begun["qr"]["path"].startswith("M")
    made = await here.post(
        f"{TWO_FACTOR}/confirm", json={"code": totp.code_at(begun["secret"], totp.step_of(utcnow()))}
    )
    codes = made.json()["codes"]
    assert made.headers["cache-control"] == "no-store"
    assert (await here.get(TWO_FACTOR)).json()["recovery_codes_left"] == 10

    stranger = browse(node)
    first = await stranger.post(LOGIN, json={"email": ada.email, "password": PASSWORD})
    assert (first.status_code, first.json()["code"]) == (401, "second_factor_required")
    assert "set-cookie" not in first.headers
    challenge = {"challenge": first.json()["challenge"]}
    assert first.json()["expires_in_s"] == 300
    wrong = await stranger.post(SECOND, json={**challenge, "code": "123"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_code")
    foreign = await browse(node, {"sec-fetch-site": "cross-site"}).post(SECOND, json={**challenge, "code": codes[0]})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "cross_site")
    as_session = {"cookie": f"__Host-deployx={challenge['challenge']}", "sec-fetch-site": "same-origin"}
    assert (await browse(node, as_session).get("/api/v1/auth/me")).status_code == 401
    second = await stranger.post(SECOND, json={**challenge, "code": codes[0]})
    assert (second.status_code, second.json()["email"]) == (200, ada.email)
    cookie = {"cookie": second.headers["set-cookie"].partition(";")[0], "sec-fetch-site": "same-origin"}
    there = browse(node, cookie)
    assert (await there.post(f"{TWO_FACTOR}/recovery-codes")).json()["codes"] != codes
    password = await there.post("/api/v1/auth/proof", json={"password": PASSWORD})
    assert (password.status_code, password.json()["code"]) == (422, "code_needed")
    assert (await browse(node, ada.bearer).get("/api/v1/auth/me")).status_code == 200
