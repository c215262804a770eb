"""A variable that nobody reads is noticed; one that another program reads is not."""

import re
from pathlib import Path

import pytest

from deployx_protocol import variables
from deployx_protocol.variables import AGENT, ALL, PREFIX, SERVER, misspelt

CONFIGURATION = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_they_are_those_of_the_documentation() -> None:
    text = CONFIGURATION.read_text(encoding="utf-8")
    documented = set(re.findall(rf"^\| `{PREFIX}(\w+)` \|", text, re.MULTILINE))
    secret = set(re.findall(rf"^\| `{PREFIX}(\w+)` \|.*\*Secret\.\*", text, re.MULTILINE))
    assert documented | {f"{name}_FILE" for name in secret} | {"CONFIG"} == ALL


@pytest.mark.parametrize(
    ("name", "own", "nearest"),
    [
        ("PROT", SERVER, "PORT"),
        ("PUBLIC_URLS", SERVER, "PUBLIC_URL"),
        ("ENROLMENT", SERVER, "ENROLLMENT"),
        ("DATABSE_URL_FILE", SERVER, "DATABASE_URL_FILE"),
        ("SERVER", AGENT, "SERVER_URL"),
        ("RECONNECT_ATTEMPT", AGENT, "RECONNECT_ATTEMPTS"),
        ("ENROLMENT_TOKEN", AGENT, "ENROLLMENT_TOKEN"),
        ("RECONNECT_DELAYS", SERVER, "RECONNECT_DELAY"),
    ],
)
def test_the_nearest_is_suggested(name: str, own: frozenset[str], nearest: str) -> None:
    expected = f"{PREFIX}{name} is not a setting of DeployX and changes nothing; did you mean {PREFIX}{nearest}?"
    assert misspelt({f"{PREFIX}{name}": "x"}, own) == [expected]


def test_what_is_like_nothing_is_named_alone() -> None:
    assert misspelt({"DEPLOYX_Q": "x"}, SERVER) == ["DEPLOYX_Q is not a setting of DeployX and changes nothing."]


def test_what_any_program_reads_and_what_is_empty_or_not_ours_is_well() -> None:
    fine = {f"{PREFIX}{name}": "x" for name in ALL} | {f"{PREFIX}PROT": "", "PROT": "x", "MY_DEPLOYX_PROT": "x"}
    for own in (SERVER, AGENT, variables.COMMAND_LINE):
        assert misspelt(fine, own) == []


def test_what_only_the_asking_program_knows_is_well() -> None:
    assert misspelt({f"{PREFIX}BRAND_NEW": "x"}, {*SERVER, "BRAND_NEW"}) == []
