"""Signing in and what ends it, on both databases."""

import asyncio
import time

import pytest
import sqlalchemy as sa

from app.accounts.models import ApiToken, Session, User
from app.accounts.passwords import Passwords
from app.accounts.permissions import GRANTS, Permission, Role
from app.accounts.principal import Principal
from app.accounts.service import TOKENS_PER_USER_MAX, AccountService
from app.db import Database
from app.errors import Conflict, InvalidInput, NotFound, TooManyAttempts, Unauthenticated, Unavailable
from app.hints import Hint, HintKind
from tests.support.server import PASSWORD, MakePerson, ManualClock


async def test_only_hashes_are_stored(person: MakePerson, db: Database) -> None:
    ada = await person()
    async with db.read() as session:
        rows = [row for model in (User, Session, ApiToken) for row in await session.scalars(sa.select(model))]
    stored = " ".join(str(value) for row in rows for value in vars(row).values())
    assert "$argon2id$" in stored
    assert all(secret not in stored for secret in (PASSWORD, ada.cookie, ada.token, ada.token.removeprefix("dxp_")))


async def test_the_address_is_not_case_sensitive(person: MakePerson, accounts: AccountService) -> None:
    await person("ada@example.test")
    user, _ = await accounts.login(" ADA@Example.Test", PASSWORD, address="127.0.0.1")
    assert user.email == "ada@example.test"
    with pytest.raises(Conflict):
        await accounts.create_user("Ada@example.test", PASSWORD, Role.VIEWER)


@pytest.mark.databases("sqlite")
async def test_threat_14_unknown_and_disabled_users_get_the_answer_of_a_wrong_password(
    person: MakePerson, accounts: AccountService
) -> None:
    await person("ada@example.test")
    await person("gone@example.test")
    await accounts.disable("gone@example.test")
    answers = set()
    for email, password in (
        ("ada@example.test", "wrong password"),
        ("nobody@example.test", PASSWORD),
        ("gone@example.test", PASSWORD),
        ("no address at all", PASSWORD),
    ):
        with pytest.raises(Unauthenticated) as refused:
            await accounts.login(email, password, address="192.0.2.1")
        answers.add((refused.value.message, refused.value.specific_code))
    assert answers == {("The address or the password is wrong.", "invalid_credentials")}


async def test_unknown_users_cost_as_much_as_a_wrong_password() -> None:
    passwords = Passwords()
    stored = await passwords.hash(PASSWORD)
    await passwords.verify("the first one also makes nobody's hash", None)

    async def cost_s(hashed: str | None) -> float:
        begun = time.perf_counter()
        assert await passwords.verify("wrong password", hashed) == (False, None)
        return time.perf_counter() - begun

    pairs = [(await cost_s(stored), await cost_s(None)) for _ in range(50)]
    known, unknown = (min(times) for times in zip(*pairs, strict=True))
    assert 0.5 < unknown / known < 2
    passwords.close()


async def test_few_may_wait_for_a_hash() -> None:
    passwords = Passwords()
    tried = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(40)), return_exceptions=True)
    refused = [one for one in tried if isinstance(one, Unavailable)]
    assert len(refused) == 40 - 32
    passwords.close()


@pytest.mark.databases("sqlite")
async def test_threat_14_guessing_is_throttled_and_the_owner_signs_in_from_elsewhere(
    person: MakePerson, accounts: AccountService
) -> None:
    await person("ada@example.test")
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await accounts.login("ada@example.test", "wrong password", address="192.0.2.66")
    with pytest.raises(TooManyAttempts) as refused:
        await accounts.login("ada@example.test", PASSWORD, address="192.0.2.66")
    assert refused.value.retry_after_s
    await accounts.login("ada@example.test", PASSWORD, address="192.0.2.1")


async def test_threat_14_guesses_at_the_same_time_are_all_counted(person: MakePerson, accounts: AccountService) -> None:
    await person("ada@example.test")
    guesses = (accounts.login("ada@example.test", f"wrong password {n}", address="192.0.2.66") for n in range(20))
    tried = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(one, Unauthenticated) for one in tried) == 5
    assert sum(isinstance(one, TooManyAttempts) for one in tried) == 15


@pytest.mark.databases("sqlite")
async def test_a_session_ends_by_itself(person: MakePerson, accounts: AccountService, clock: ManualClock) -> None:
    ada = await person()
    clock.advance(days=13.9)
    principal = await accounts.authenticate_cookie(ada.cookie)
    session_id, proven_at = principal.session_id, principal.proven_at
    assert principal == Principal(ada.id, ada.email, "admin", session_id=session_id, proven_at=proven_at)
    clock.advance(days=0.2)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_cookie(ada.cookie)
    assert set(await accounts.alive([principal.session_id or ""], [])) == set()
    assert await accounts.prune() == 1


async def test_signing_out_ends_that_session_only(
    person: MakePerson, accounts: AccountService, hints: list[Hint]
) -> None:
    ada = await person()
    _, other = await accounts.login(ada.email, PASSWORD, address="127.0.0.1")
    await accounts.logout(await accounts.authenticate_cookie(ada.cookie))
    assert Hint(HintKind.SIGNED_OUT, user_id=ada.id) in hints
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_cookie(ada.cookie)
    await accounts.authenticate_cookie(other)
    await accounts.authenticate_token(ada.token)


async def test_signing_in_again_replaces_the_browsers_session(person: MakePerson, accounts: AccountService) -> None:
    ada = await person()
    await accounts.login(ada.email, PASSWORD, address="127.0.0.1", replaces=ada.cookie)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_cookie(ada.cookie)


@pytest.mark.parametrize("how", ["disable", "reset"])
async def test_threat_15_everything_of_a_user_ends_at_once(
    how: str, person: MakePerson, accounts: AccountService, hints: list[Hint]
) -> None:
    ada, bob = await person("ada@example.test"), await person("bob@example.test")
    session = await accounts.authenticate_cookie(ada.cookie)
    token = await accounts.authenticate_token(ada.token)
    kept = await accounts.authenticate_cookie(bob.cookie)
    ids = ([session.session_id or "", kept.session_id or ""], [token.token_id or ""])
    assert set(await accounts.alive(*ids)) == {session.session_id, kept.session_id, token.token_id}

    if how == "disable":
        await accounts.disable(ada.email)
    else:
        await accounts.reset_password(ada.email, "another good password")

    assert hints[-1] == Hint(HintKind.SIGNED_OUT, user_id=ada.id)
    assert set(await accounts.alive(*ids)) == {kept.session_id}
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_cookie(ada.cookie)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_token(ada.token)
    with pytest.raises(Unauthenticated):
        await accounts.login(ada.email, PASSWORD, address="127.0.0.1")
    if how == "reset":
        await accounts.login(ada.email, "another good password", address="127.0.0.1")


async def test_a_row_alone_that_says_disabled_is_enough(
    person: MakePerson, accounts: AccountService, db: Database, clock: ManualClock
) -> None:
    ada = await person()
    session = await accounts.authenticate_cookie(ada.cookie)
    async with db.write() as transaction:
        await transaction.execute(sa.update(User).values(disabled_at=clock()))
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_cookie(ada.cookie)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_token(ada.token)
    assert set(await accounts.alive([session.session_id or ""], [])) == set()


@pytest.mark.databases("sqlite")
async def test_use_is_written_down_once_a_minute(
    person: MakePerson, accounts: AccountService, clock: ManualClock
) -> None:
    ada = await person()
    principal = await accounts.authenticate_token(ada.token)

    async def last_used() -> object:
        await accounts.authenticate_token(ada.token)
        return (await accounts.list_tokens(principal))[0].last_used_at

    first = clock()
    assert await last_used() == first
    clock.advance(seconds=59)
    assert await last_used() == first
    clock.advance(seconds=1)
    assert await last_used() == clock()


@pytest.mark.databases("sqlite")
async def test_tokens_are_ones_own(person: MakePerson, accounts: AccountService) -> None:
    ada, bob = await person("ada@example.test"), await person("bob@example.test")
    as_ada, as_bob = await accounts.authenticate_token(ada.token), await accounts.authenticate_token(bob.token)
    assert [row.id for row in await accounts.list_tokens(as_ada)] == [as_ada.token_id]
    with pytest.raises(NotFound):
        await accounts.delete_token(as_ada, as_bob.token_id or "")
    await accounts.delete_token(as_bob, as_bob.token_id or "")
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_token(bob.token)
    with pytest.raises(NotFound):
        await accounts.delete_token(as_bob, as_bob.token_id or "")


@pytest.mark.databases("sqlite")
async def test_a_token_can_expire(person: MakePerson, accounts: AccountService, clock: ManualClock) -> None:
    ada = await person()
    principal = await accounts.authenticate_token(ada.token)
    row, token = await accounts.create_token(principal, "short", 60)
    clock.advance(seconds=59)
    assert (await accounts.authenticate_token(token)).token_id == row.id
    clock.advance(seconds=1)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_token(token)
    assert set(await accounts.alive([], [row.id, principal.token_id or ""])) == {principal.token_id}
    assert await accounts.prune() == 1


@pytest.mark.databases("sqlite")
async def test_tokens_per_user_are_bounded(person: MakePerson, accounts: AccountService) -> None:
    principal = await accounts.authenticate_token((await person()).token)
    for n in range(TOKENS_PER_USER_MAX - 1):
        await accounts.create_token(principal, f"token {n}")
    with pytest.raises(Conflict):
        await accounts.create_token(principal, "one more")


@pytest.mark.parametrize("value", ["", "dxp_", "dxp_x", "x" * 5000, "dxp_\ud800", "dxp_' OR 1=1 --", "dxe_x_y"])
async def test_nonsense_authenticates_nobody(value: str, accounts: AccountService) -> None:
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_cookie(value)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_token(value)


@pytest.mark.databases("sqlite")
async def test_a_cookie_is_not_a_token_nor_the_reverse(person: MakePerson, accounts: AccountService) -> None:
    ada = await person()
    for crossed in (accounts.authenticate_cookie(ada.token), accounts.authenticate_token("dxp_" + ada.cookie)):
        with pytest.raises(Unauthenticated):
            await crossed


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "email", ["ada", "ada@", "@example.test", "a da@example.test", "a@b@c", "a\x07@b", "a@" + "b" * 255]
)
async def test_a_sign_in_name_looks_like_an_address(email: str, accounts: AccountService) -> None:
    with pytest.raises(InvalidInput):
        await accounts.create_user(email, PASSWORD, Role.VIEWER)


@pytest.mark.databases("sqlite")
async def test_a_password_has_ten_characters(accounts: AccountService, person: MakePerson) -> None:
    ada = await person()
    for short in ("", "nine char", "x" * 1025):
        with pytest.raises(InvalidInput):
            await accounts.create_user("bob@example.test", short, Role.VIEWER)
        with pytest.raises(InvalidInput):
            await accounts.reset_password(ada.email, short)


async def test_threat_22_the_first_administrator_is_made_once(accounts: AccountService) -> None:
    with pytest.raises(NotFound):
        await accounts.first_admin()
    made = (accounts.create_first_admin("root@example.test", PASSWORD) for _ in range(4))
    await asyncio.gather(*made)
    await accounts.create_first_admin("second@example.test", PASSWORD)
    assert [user.email for user in await accounts.people.all()] == ["root@example.test"]
    assert (await accounts.first_admin()).role == Role.ADMIN


def test_what_the_table_does_not_grant_is_refused() -> None:
    assert set(GRANTS) == set(Role)
    assert GRANTS[Role.VIEWER] < GRANTS[Role.OPERATOR] < GRANTS[Role.ADMIN] == frozenset(Permission)
    assert not any(Principal(1, "a@x", role).may(p) for role in ("", "root", "ADMIN") for p in Permission)
    viewer = Principal(1, "a@x", Role.VIEWER)
    assert viewer.may(Permission.DEVICES_READ)
    assert not viewer.may(Permission.DEVICES_WRITE)
    assert not viewer.is_admin


async def test_another_role_holds_at_once_and_ends_nothing(person: MakePerson, accounts: AccountService) -> None:
    ada = await person(role=Role.ADMIN)
    await accounts.set_role(" Ada@Example.test", Role.VIEWER)
    principal = await accounts.authenticate_cookie(ada.cookie)
    assert (principal.role, (await accounts.authenticate_token(ada.token)).role) == ("viewer", "viewer")
    assert await accounts.alive([principal.session_id or ""], []) == {principal.session_id: "viewer"}
    with pytest.raises(NotFound):
        await accounts.set_role("nobody@example.test", Role.ADMIN)


@pytest.mark.databases("sqlite")
async def test_who_was_shut_out_may_be_let_in_again(person: MakePerson, accounts: AccountService) -> None:
    ada = await person()
    await accounts.disable(ada.email)
    await accounts.enable(ada.email.upper())
    assert (await accounts.login(ada.email, PASSWORD, address="127.0.0.1"))[0].id == ada.id
    with pytest.raises(Unauthenticated):
        await accounts.authenticate_token(ada.token)  # what was ended stays so
    with pytest.raises(NotFound):
        await accounts.enable("nobody@example.test")
