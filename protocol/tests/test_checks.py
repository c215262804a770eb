"""What a peer may send: whatever else it tries is refused with a sentence, and never another exception."""

import ipaddress
import json
import math
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deployx_protocol import checks, limits
from deployx_protocol.messages import AgentRegister, Message, RegistrationAck


class Anything(Message, frozen=True, kw_only=True):
    """Takes every JSON value, so that only the checks before the conversion can refuse one."""

    value: Any


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
NUMBERS = st.integers(limits.INT64_MIN, limits.INT64_MAX) | st.floats(allow_nan=False, allow_infinity=False)
GOOD = st.none() | st.booleans() | NUMBERS | TEXT
BAD = (
    st.sampled_from([math.nan, math.inf, -math.inf, limits.INT64_MAX + 1, limits.INT64_MIN - 1, 10**400, b"binary"])
    | st.sampled_from(["\x00", "a\x00b", "\ud800", "x\udfff", "\udc00\ud800"])
    | st.just({1: "a key that is a number"})
    | st.just({"a\x00key": 1})
    | st.just({"a\ud800key": 1})
    | st.just(object())
)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values nested not nearly as deep as is allowed."""
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
    )


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((depth(item) for item in inner), default=0)


@given(trees(GOOD))
def test_plain_json_passes_unchanged(value: Any) -> None:
    assume(depth(value) < limits.PAYLOAD_DEPTH_MAX)
    assert checks.decode({"value": value}, Anything).value == value


@given(BAD, st.lists(st.sampled_from(["list", "object"]), max_size=5), trees(GOOD))
def test_what_a_database_would_choke_on_is_refused_wherever_it_hides(bad: Any, path: list[str], beside: Any) -> None:
    value = bad
    for step in path:
        value = [beside, value] if step == "list" else {"beside": beside, "value": value}
    with pytest.raises(checks.InvalidPayload, match=r"\.$") as refused:
        checks.decode({"value": value}, Anything)
    str(refused.value).encode()


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


def test_depth_is_bounded_at_the_limit_exactly() -> None:
    deepest = limits.PAYLOAD_DEPTH_MAX - 1  # the struct itself is one level
    assert checks.decode({"value": nested(deepest)}, Anything)
    with pytest.raises(checks.InvalidPayload, match="nested deeper"):
        checks.decode({"value": nested(deepest + 1)}, Anything)
    with pytest.raises(checks.InvalidPayload, match="nested deeper"):
        checks.decode({"value": nested(50_000)}, Anything)


def test_number_of_values_is_bounded_at_the_limit_exactly() -> None:
    most = limits.PAYLOAD_NODES_MAX - 2  # the object and the list
    assert len(checks.decode({"value": [0] * most}, Anything).value) == most
    with pytest.raises(checks.InvalidPayload, match="more than"):
        checks.decode({"value": [0] * (most + 1)}, Anything)


@given(st.integers(limits.INT64_MIN, limits.INT64_MAX))
def test_counters_are_whole_and_not_negative(number: int) -> None:
    if number >= 0:
        assert checks.decode({"generation": number}, RegistrationAck).generation == number
    else:
        with pytest.raises(checks.InvalidPayload):
            checks.decode({"generation": number}, RegistrationAck)


@pytest.mark.parametrize("generation", [True, "1", 1.5, None, [1]])
def test_types_are_not_coerced(generation: Any) -> None:
    with pytest.raises(checks.InvalidPayload, match=r"generation"):
        checks.decode({"generation": generation}, RegistrationAck)


def test_unknown_fields_are_ignored_and_missing_ones_named() -> None:
    assert checks.decode({"generation": 1, "of_tomorrow": {"x": [1]}}, RegistrationAck).generation == 1
    with pytest.raises(checks.InvalidPayload, match="generation"):
        checks.decode({}, RegistrationAck)


@pytest.mark.parametrize("payload", [None, [], "text", 5, True])
def test_a_payload_that_is_no_object_is_refused(payload: Any) -> None:
    with pytest.raises(checks.InvalidPayload):
        checks.decode(payload, RegistrationAck)


@given(trees(GOOD | BAD))
def test_nothing_but_invalid_payload_is_ever_raised(value: Any) -> None:
    try:
        message = checks.decode(value, AgentRegister)
    except checks.InvalidPayload as error:
        str(error).encode()
    else:
        json.dumps(message.to_json()).encode()


@given(st.text(max_size=30), st.booleans())
def test_printable_is_one_line_that_can_be_read(text: str, empty: bool) -> None:
    try:
        assert checks.printable(text, "field", 20, empty=empty) == text
    except checks.InvalidPayload as refused:
        assert "`field`" in str(refused)
        str(refused).encode()
        unreadable = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in text)
        assert unreadable or len(text) > 20 or text != text.strip() or (not text and not empty)
    else:
        assert len(text.splitlines()) <= 1
        assert len(text) <= 20
        assert text == text.strip()
        assert text or empty
        text.encode()


@pytest.mark.parametrize(
    "text",
    ["", " x", "x\n", "a\nb", "a\tb", "a\x1b[31mb", "a\u202eb", "a\u200bb", "a\u2028b", "a\x85b", "\ud800", "\ue000"],
)
def test_what_reorders_or_hides_is_not_printable(text: str) -> None:
    with pytest.raises(checks.InvalidPayload):
        checks.printable(text, "field", 100)


@pytest.mark.parametrize("text", ["DESKTOP-ABC123", "Büro Rechner 7", "机器", "a", "🖥"])
def test_names_of_all_languages_are_printable(text: str) -> None:
    assert checks.printable(text, "field", 100) == text


@given(st.ip_addresses())
def test_every_ip_address_is_one(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert checks.ip_address(str(address), "ip_address") == str(address)


@given(st.text(max_size=80))
def test_what_passes_as_ip_address_is_one(text: str) -> None:
    try:
        ipaddress.ip_address(checks.ip_address(text, "ip_address"))
    except checks.InvalidPayload as refused:
        assert str(refused) == "`ip_address` is not an IP address."


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4/8", " 1.2.3.4", "::1%\u202e", "::1%" + "x" * 99],
)
def test_what_is_no_ip_address(text: str) -> None:
    with pytest.raises(checks.InvalidPayload):
        checks.ip_address(text, "ip_address")
