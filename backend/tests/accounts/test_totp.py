"""One-time codes against the vectors of RFC 6238, how far a clock may be off, and what an authenticator is told."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import segno

from app.accounts import totp
from app.accounts.qr import qr_code

SECRET = base64.b32encode(b"12345678901234567890").decode()
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
"""RFC 6238, appendix B, for SHA-1: eight digits, of which we show the last six."""


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert totp.code_at(SECRET, totp.step_of(moment)) == code[-6:]
    assert totp.matching_step(SECRET, code[-6:], moment) == seconds // 30


def test_a_clock_may_be_off_by_one_step() -> None:
    now = datetime(2026, 1, 2, 3, 4, 15, tzinfo=UTC)
    code = totp.code_at(SECRET, totp.step_of(now))
    for off_s, taken in ((-46, False), (-30, True), (0, True), (30, True), (46, False)):
        found = totp.matching_step(SECRET, code, now + timedelta(seconds=off_s))
        assert found == (totp.step_of(now) if taken else None), off_s


def test_what_is_no_code_matches_nothing() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    for text in ("", "12345", "1234567", "abcdef", "１２３４５６", "12 456"):
        assert not totp.looks_like_code(text), text
        assert totp.matching_step(SECRET, text, now) is None


def test_secrets_are_new_each_time() -> None:
    made = {totp.new_secret() for _ in range(20)}
    assert len(made) == 20
    assert {len(base64.b32decode(secret)) for secret in made} == {20}


def test_an_authenticator_reads_who_and_where() -> None:
    parts = urlsplit(totp.uri(SECRET, "ada+x@example.test"))
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", "/DeployX:ada+x@example.test")
    assert parse_qs(parts.query) == {"secret": [SECRET], "issuer": ["DeployX"]}


def test_the_qr_code_is_drawn_module_by_module() -> None:
    text = totp.uri(SECRET, "ada@example.test")
    drawn = qr_code(text)
    matrix = [list(row) for row in segno.make_qr(text, error="m", boost_error=False).matrix]
    filled = set()
    for piece in drawn.path.removeprefix("M").split("M"):
        start, _, rest = piece.partition("h")
        x, y = map(int, start.split())
        width = int(rest.partition("v")[0])
        assert rest == f"{width}v1h-{width}z"
        filled |= {(x + offset - 4, y - 4) for offset in range(width)}
    assert filled == {(x, y) for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark}
    assert drawn.size == len(matrix) + 8
