"""`docs/security.md`: every promise names tests, and they exist."""

import re

import pytest

from documents.source import ROOT
from documents.suite import all_tests

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (?!Promise|---)(.+?) \| (`.+`) \|$", re.MULTILINE)
_TEST = re.compile(r"`([^`]+::[^`]+)`")
HEADINGS = ("Who trusts whom", "What a thief gets", "Two-factor sign-in", "Sharing and invitations", "Not promised")


def promises() -> list[tuple[str, list[str]]]:
    """Each promise and its tests."""
    return [(promise, _TEST.findall(tests)) for promise, tests in _ROW.findall(PAGE)]


@pytest.mark.parametrize(("promise", "tests"), promises(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_promise_has_tests_and_they_exist(promise: str, tests: list[str]) -> None:
    assert promise.endswith(".")
    assert tests, "no test fails when this is broken"
    assert not set(tests) - all_tests(), "no such test"


def test_the_page_is_read_at_all_and_nothing_stands_outside_of_a_promise() -> None:
    assert len(promises()) > 30
    assert set(_TEST.findall(PAGE)) == {test for _, tests in promises() for test in tests}
    assert not [heading for heading in HEADINGS if not re.search(rf"^#+ {heading}$", PAGE, re.MULTILINE)]
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
