"""That the search for secrets, which runs after every test of the server, finds one wherever it turns up."""

import pytest
import sqlalchemy as sa

from app.accounts import codes, totp
from app.audit.actions import SERVER, Action
from app.audit.models import AuditEntry
from app.uow import UnitOfWork
from deployx_protocol import tokens
from tests.support import secrets_made
from tests.support.node import Serve
from tests.support.server import PASSWORD, Browse, MakePerson

# One database: nothing here depends on which it is.
pytestmark = pytest.mark.databases("sqlite")


def test_a_secret_is_found_in_whatever_is_around_it() -> None:
    secret, enrolment = tokens.new_secret(), tokens.new_enrollment_token("https://a.example")
    for text in (secret, f"x{secret}9", f"cookie={secret};", f"dxp_{secret}", f"token={enrolment!r}", f"{PASSWORD}!"):
        assert len(secrets_made.leaks(f"a line before\n{text}\n")) == 1, text
    for text in (totp.new_secret(), codes.new_recovery_code()):
        assert len(secrets_made.leaks(f"a line before\nsecret={text}\n")) == 1, text
    for text in ("", "x" * 200, secret[:-1], enrolment.rpartition("_")[0], "0" * 64):
        assert secrets_made.leaks(text) == [], text


async def test_a_secret_on_record_is_found(serve: Serve, uow: UnitOfWork, browse: Browse, person: MakePerson) -> None:
    node, ada = await serve(), await person()
    assert (await browse(node, ada.bearer).get("/api/v1/audit")).is_success
    assert await secrets_made.leaks_of_record(node.db) == []
    async with uow.begin() as unit:
        unit.record(SERVER, Action.API_TOKEN_CREATED, "1", "a slip", token=ada.token)
    assert len(await secrets_made.leaks_of_record(node.db)) == 1
    async with node.db.write() as session:  # what was written on purpose must not fail this test
        await session.execute(sa.delete(AuditEntry))


def test_whoever_printed_a_secret_has_failed() -> None:
    def report(text: str) -> pytest.TestReport:
        sections = [("Captured stdout setup", "nothing"), ("Captured stdout call", text)]
        made = pytest.TestReport("a test", ("a file", 1, "a test"), {}, "passed", None, "teardown", sections)
        return secrets_made.judge(made)

    assert report("signed in").passed
    slip = report(f"[INFO] signed in  cookie={tokens.new_secret()}")
    assert slip.failed
    assert "cookie=" in str(slip.longrepr)
