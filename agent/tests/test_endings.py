"""What follows from a refusal: for every code, for a code of tomorrow, and for nonsense."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_agent.connection import endings
from deployx_agent.connection.endings import Ending
from deployx_agent.connection.machine import Event
from deployx_agent.connection.retry import Why
from deployx_protocol.codes import REFUSALS, Code
from deployx_protocol.messages import RegistrationFailed, SessionEnded


@pytest.mark.parametrize("code", Code)
def test_each_code_while_registering(code: Code) -> None:
    payload = RegistrationFailed.because("till-7", code, "Why.", 3.0).to_json()
    passing = REFUSALS[code].retryable
    assert endings.refused(payload, registered=False) == Ending(
        Event.REGISTRATION_FAILED if passing else Event.REFUSED,
        "Why.",
        Why.POSTPONED if passing else None,
        3.0 if passing else None,
        REFUSALS[code].exit_code,
        code,
    )


@pytest.mark.parametrize("code", Code)
def test_each_code_once_registered(code: Code) -> None:
    ending = endings.refused(SessionEnded.because(code, "Why.", 3.0).to_json(), registered=True)
    passing = REFUSALS[code].retryable
    assert (ending.event, ending.retry) == ((Event.DISCONNECTED, Why.LOST) if passing else (Event.REFUSED, None))
    assert ending.exit_code == REFUSALS[code].exit_code


def test_a_code_of_tomorrow_keeps_its_words_and_its_pace() -> None:
    later = {"code": "quota", "message": "Later.", "retryable": True, "retry_after_s": 9}
    ending = endings.refused(later, registered=False)
    assert (ending.code, ending.reason, ending.retry, ending.retry_after_s) == ("quota", "Later.", Why.POSTPONED, 9)
    final = endings.refused({**later, "retryable": False}, registered=False)
    assert (final.code, final.reason, final.retry, final.exit_code) == ("quota", "Later.", None, 69)


@pytest.mark.parametrize("payload", [None, [], "no", {}, {"code": 5}, {"retryable": "no"}, {"message": "a\x00b"}])
def test_nonsense_is_tried_again(payload: Any) -> None:
    assert endings.refused(payload, registered=False).retry is Why.POSTPONED
    assert endings.refused(payload, registered=True).retry is Why.LOST


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_no_payload_raises(payload: Any) -> None:
    endings.refused(payload, registered=True)
