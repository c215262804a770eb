"""Enrolment tokens name their server and have one spelling."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_protocol import limits, tokens

ORIGIN = "https://a.example:8443"


@given(st.sampled_from(["http", "https"]), st.text(min_size=1, max_size=40))
def test_a_token_names_its_server(scheme: str, rest: str) -> None:
    origin = f"{scheme}://{rest}"
    assert tokens.enrollment_origin(tokens.new_enrollment_token(origin)) == origin


def test_secrets_are_256_bits_of_base62_and_never_the_same() -> None:
    found = [tokens.new_secret() for _ in range(500)]
    assert len(set(found)) == 500
    assert all(len(secret) == 43 and secret.isascii() and secret.isalnum() for secret in found)
    assert 62 ** len(found[0]) > 2**256
    assert len(set("".join(found))) == 62


def test_no_digit_of_a_secret_is_more_likely_than_another(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([bytes([255]) * 64, bytes(range(64))])
    monkeypatch.setattr("secrets.token_bytes", lambda _count: next(drawn))
    assert tokens.new_secret() == tokens._BASE62[:43]  # of 255 comes nothing
    digits = Counter(bytes(range(256)).translate(tokens._DIGIT_OF_BYTE, tokens._UNFAIR))
    assert (len(digits), set(digits.values())) == (62, {4})


def test_the_longest_token_fits_into_the_field() -> None:
    longest_sent = "https://" + "a" * 200 + ".example:65535"
    assert len(tokens.new_enrollment_token(longest_sent)) <= limits.TOKEN_MAX


HEX, SECRET = ORIGIN.encode().hex(), "0123456789" * 4 + "abC"
GOOD = f"dxe_{HEX}_{SECRET}"


def test_the_form_of_a_token() -> None:
    assert tokens.enrollment_origin(GOOD) == ORIGIN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dxe_",
        "dxe__",
        f"dxe_{HEX}",
        f"dxe_{HEX}_",
        f"dxe__{SECRET}",
        f"dxp_{HEX}_{SECRET}",
        f"{HEX}_{SECRET}",
        f"dxe_{HEX}_{SECRET}_{SECRET}",
        f"dxe_{HEX[:-1]}_{SECRET}",
        f"dxe_{HEX.upper()}_{SECRET}",
        f"dxe_{HEX[:2]} {HEX[2:]}_{SECRET}",
        f"dxe_{HEX}_{SECRET}!",
        f"dxe_{HEX}_{SECRET}\n",
        f" {GOOD}",
        f"dxe_{b'a.example'.hex()}_{SECRET}",
        f"dxe_ff_{SECRET}",
        f"dxe_{HEX}_{'ä' * 43}",
    ],
)
def test_what_is_no_token_is_a_sentence_without_the_secret(text: str) -> None:
    with pytest.raises(ValueError, match=r"^This is not an enrolment token") as refused:
        tokens.enrollment_origin(text)
    assert SECRET not in str(refused.value)


@given(st.text(max_size=60) | st.text(max_size=60).map("dxe_{}".format))
def test_any_other_text_is_refused_and_never_another_error(text: str) -> None:
    try:
        origin = tokens.enrollment_origin(text)
    except ValueError:
        return
    assert text == f"dxe_{origin.encode().hex()}_{text.rpartition('_')[2]}"
