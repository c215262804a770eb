"""What reaches a terminal of what a device sends, and how durations are read."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_cli import durations, safe
from deployx_cli.errors import WrongUsage

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
hostile = st.text(
    st.one_of(st.sampled_from("\x1b\x9b[]()?;:0123456789mHJlh\x07\\\x9c \tP_^Xc"), st.characters()), max_size=40
)


def obeyed(text: str) -> set[str]:
    """The characters in `text` that a terminal does not just show."""
    return {character for character in text if unicodedata.category(character).startswith("C")}


@given(hostile)
def test_threat_08_no_control_character_gets_through(text: str) -> None:
    assert obeyed(safe.line(text)) <= {"\t"}
    assert obeyed(safe.text(text)) == set()
    coloured = safe.line(text, colour=True)
    assert obeyed(COLOUR.sub("", coloured)) <= {"\t"}
    assert "\x1b" not in coloured or coloured.endswith("\x1b[0m")


@given(st.text(st.characters(exclude_categories=["C"])))
def test_text_that_is_harmless_stays(text: str) -> None:
    assert safe.line(text) == safe.line(text, colour=True) == text


@pytest.mark.parametrize(
    ("printed", "plain", "coloured"),
    [
        ("\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m\x1b[0m"),
        ("\x1b[1;38;5;200mx", "x", "\x1b[1;38;5;200mx\x1b[0m"),
        ("\x1b[8mx", "x", "x"),
        ("\x1b[0;08mx", "x", "x"),
        ("\x1b[2J\x1b[1;1Hx", "x", "x"),
        ("\x1b]0;title\x07x\x1b]8;;http://x\x1b\\y", "xy", "xy"),
        ("\x1bP+q\x1b\\x\x1bcy\x1b(Bz", "xyz", "xyz"),
        ("\x9b2Jx", "x", "x"),
        ("\x1b]0;never ended", "", ""),
        ("a\x1b", "a\ufffd", "a\ufffd"),
        ("a\tb\x08c\x00", "a\tb\ufffdc\ufffd", "a\tb\ufffdc\ufffd"),
        ("\u202eevil", "\ufffdevil", "\ufffdevil"),
    ],
)
def test_what_becomes_of_sequences(printed: str, plain: str, coloured: str) -> None:
    assert safe.line(printed) == plain
    assert safe.line(printed, colour=True) == coloured


@given(st.text())
def test_json_is_the_same_and_harmless(text: str) -> None:
    written = safe.as_json({"a": text})
    assert json.loads(written) == {"a": text}
    assert obeyed(written) <= {"\n"}


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7_200), ("1d", 86_400)])
def test_durations(text: str, expected: float) -> None:
    assert durations.seconds(text, "--timeout") == expected


@pytest.mark.parametrize("text", ["", "s", "0", "-1", "x", "1w", "nan", "inf", "1e999", "5 m m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(WrongUsage, match="--timeout"):
        durations.seconds(text, "--timeout")


@pytest.mark.parametrize(
    ("duration_s", "expected"), [(0.25, "0.25 s"), (59, "59 s"), (90, "1.5 min"), (86_400, "1 d"), (7_200, "2 h")]
)
def test_durations_as_they_are_said(duration_s: float, expected: str) -> None:
    assert durations.spoken(duration_s) == expected
