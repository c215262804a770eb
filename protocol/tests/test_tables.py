"""Events, codes and states: complete, consistent, and written once."""

import re
from pathlib import Path

import pytest

from deployx_protocol import codes, events, limits
from deployx_protocol.codes import REFUSALS, Code
from deployx_protocol.states import CAUSE_TEXT, ClaimKind, DeviceStatus, Presence, StatusCause, Trust

NAMES = {
    value
    for name, value in vars(events).items()
    if name.isupper() and isinstance(value, str) and not name.startswith("_")
}


def test_the_specifications_events_are_there() -> None:
    assert {
        "agent_register",
        "registration_success",
        "registration_failed",
        "ping",
        "pong",
        "device_status_changed",
    } <= NAMES


def test_names_are_plain_distinct_and_not_reserved() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in NAMES)
    assert not NAMES & events.RESERVED
    assert {"connect", "disconnect"} <= events.RESERVED
    assert events.FROM_AGENT | events.FROM_DASHBOARD <= NAMES
    assert not events.FROM_AGENT & events.FROM_DASHBOARD


def test_every_code_has_a_meaning() -> None:
    assert set(REFUSALS) == set(Code)


def test_exit_codes_are_the_systems() -> None:
    import os

    assert codes.EXIT_OK == os.EX_OK == 0
    assert codes.EXIT_UNAVAILABLE == os.EX_UNAVAILABLE == 69
    assert codes.EXIT_SOFTWARE == os.EX_SOFTWARE == 70
    assert codes.EXIT_TEMPFAIL == os.EX_TEMPFAIL == 75
    assert codes.EXIT_NOPERM == os.EX_NOPERM == 77
    assert codes.EXIT_CONFIG == os.EX_CONFIG == 78


@pytest.mark.parametrize("code", Code)
def test_what_may_pass_is_69_and_what_is_final_is_not(code: Code) -> None:
    refusal = REFUSALS[code]
    assert refusal.retryable == (refusal.exit_code == codes.EXIT_UNAVAILABLE)


@pytest.mark.parametrize("code", [Code.INVALID_CREDENTIALS, Code.REJECTED, Code.REMOVED, Code.IDENTITY_CONFLICT])
def test_refused_credentials_are_final_and_77(code: Code) -> None:
    assert (REFUSALS[code].retryable, REFUSALS[code].exit_code) == (False, 77)


@pytest.mark.parametrize("code", [Code.SERVER_BUSY, Code.SERVER_UNAVAILABLE, Code.SERVER_SHUTDOWN])
def test_what_a_server_recovers_from_is_tried_again(code: Code) -> None:
    assert REFUSALS[code].retryable


def test_the_specifications_status_is_online_or_offline() -> None:
    assert {str(status) for status in DeviceStatus} == {"online", "offline"}
    assert {str(presence) for presence in Presence} == {"online", "offline", "unknown"}


def test_trust_and_claims_are_the_architectures() -> None:
    assert {str(trust) for trust in Trust} == {"pending", "trusted", "unverified", "quarantined"}
    assert {str(kind) for kind in ClaimKind} == {"reinstalled", "moved", "cloned"}


def test_every_cause_can_be_read() -> None:
    assert set(CAUSE_TEXT) == set(StatusCause)
    assert len(set(CAUSE_TEXT.values())) == len(CAUSE_TEXT)
    assert all(text and text[0].islower() and not text.endswith(".") for text in CAUSE_TEXT.values())


def test_limits_are_consistent() -> None:
    bounds = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert all(value > 0 for name, value in bounds.items() if name != "INT64_MIN")
    most = limits.FACTS_MAX + limits.FINGERPRINT_FACTS_MAX
    assert most < limits.PAYLOAD_NODES_MAX
    assert (limits.INT64_MIN, limits.INT64_MAX) == (-(2**63), 2**63 - 1)


def test_event_names_are_literals_nowhere_else() -> None:
    """Words that have only this meaning; `ping`, `pong` and `watch` are words of libraries too.

    A cause of a status and an event of the agent's state machine are called as what leads to them, a table as what is
    kept in it.
    """
    root = Path(__file__).parents[2]
    sources = [
        path
        for folder in ("protocol/deployx_protocol", "agent/deployx_agent", "backend/app", "cli/deployx_cli")
        for path in (root / folder).rglob("*.py")
        if path.name != "events.py"
    ]
    assert len(sources) > 50
    written_twice = re.compile("|".join(rf"""["']{name}["']""" for name in NAMES if "_" in name))
    allowed = {
        "states.py": {events.AGENT_LEAVING},
        "machine.py": {events.REGISTRATION_FAILED},
        "models.py": {events.TASK_OUTPUT},
    }
    for path in sources:
        found = {hit.strip("\"'") for hit in written_twice.findall(path.read_text(encoding="utf-8"))}
        assert found <= allowed.get(path.name, set()), path
