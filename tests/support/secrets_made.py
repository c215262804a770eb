"""The secrets that tests make or are told. None may turn up in a log, on a terminal, or in the audit record.

Invariant: every secret of the product comes from `tokens.new_secret`, or is an authenticator's or a recovery code, so
that this module knows each one that was made in this process; those that another process made are handed to ``keep`` by
whoever is told them.
"""

import contextlib
import re
from collections.abc import Iterator
from unittest import mock

import pytest
import sqlalchemy as sa

from app.accounts import codes, totp
from app.audit.models import AuditEntry
from app.db import Database
from app.errors import Unavailable
from deployx_protocol import tokens
from tests.support.server import PASSWORD

_LENGTH = len(tokens.new_secret())
_RUN = re.compile(rf"[0-9A-Za-z]{{{_LENGTH},}}")
_OF_CLIENTS = re.compile(r" httpx2:\S+ HTTP Request: ")
"""What the tests' own HTTP client logs: addresses, in which a test may put a secret to see what becomes of it."""
_made: set[str] = set()
_shorter: set[str] = set()
"""Secrets of another form, as they were shown."""


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Know each secret that is made meanwhile, for as long as this process lives."""
    make, set_up, recovery = tokens.new_secret, totp.new_secret, codes.new_recovery_code
    with (
        mock.patch.object(tokens, "new_secret", lambda: keep(make())),
        mock.patch.object(totp, "new_secret", lambda: _keep_shorter(set_up())),
        mock.patch.object(codes, "new_recovery_code", lambda: _keep_shorter(recovery())),
    ):
        yield


def _keep_shorter(secret: str) -> str:
    _shorter.add(secret)
    return secret


def keep(told: str) -> str:
    """Know the secret in ``told``, a token or a cookie, from now on; ``told``."""
    _made.add(told[-_LENGTH:])
    return told


def leaks(text: str) -> list[str]:
    """Which secrets are in ``text``, each by its beginning and what stands before it."""
    found = [
        f"…{text[max(0, run.start() - 60) : run.start() + at + 4]}…"
        for run in _RUN.finditer(text)
        for at in range(len(run[0]) - _LENGTH + 1)
        if run[0][at : at + _LENGTH] in _made
    ]
    found += [f"…{secret[:4]}…" for secret in _shorter if secret in text]
    return [*found, "a person's password"] if PASSWORD in text else found


async def leaks_of_record(db: Database) -> list[str]:
    """Which are in the audit record; none where the database is away."""
    columns = (AuditEntry.actor, AuditEntry.via, AuditEntry.object_id, AuditEntry.object_name, AuditEntry.details)
    with contextlib.suppress(Unavailable):
        async with db.read() as session:
            found = (await session.execute(sa.select(*columns))).all()
        return leaks("\n".join(str(value) for row in found for value in row))
    return []


def judge(report: pytest.TestReport) -> pytest.TestReport:
    """The last report of a test, which has failed, whatever it was about, if a secret was printed or logged in it."""
    if report.when == "teardown" and report.passed:
        lines = "\n".join(text for _, text in report.sections).splitlines()
        said = leaks("\n".join(line for line in lines if not _OF_CLIENTS.search(line)))
        if said:
            report.outcome, report.longrepr = "failed", f"A secret was printed or logged: {said}"
    return report
