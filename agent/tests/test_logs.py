"""The log's form: one event is one line, and no token gets into it."""

import io
import logging
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployx_agent.logs import LineFormatter, LineHandler, Log
from deployx_protocol.tokens import new_enrollment_token


class Written:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        logger = logging.Logger("test")
        handler = LineHandler(self.stream)
        handler.setFormatter(LineFormatter())
        logger.addHandler(handler)
        self.log = Log(logger, handler)

    @property
    def text(self) -> str:
        return self.stream.getvalue()


@pytest.fixture
def written() -> Written:
    return Written()


def test_words_then_two_spaces_then_fields(written: Written) -> None:
    written.log.info(
        "Registering agent: HOST", agent_id="till-7", nothing=None, delay_s=2.5, reason="two words", empty=""
    )
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[INFO\] Registering agent: HOST  "
        r'agent_id=till-7 delay_s=2\.5 reason="two words" empty=""\n',
        written.text,
    )


def test_without_fields_the_line_ends_with_the_words(written: Written) -> None:
    written.log.warning("Status: Online")
    assert written.text.endswith("[WARNING] Status: Online\n")


@given(st.text(), st.text())
@example("two\x85lines", "two\u2028lines")
@example("two\u2028lines", "\x1b[31m")
def test_one_event_is_one_line(words: str, value: str) -> None:
    written = Written()
    written.log.error(words, value=value)
    assert len(written.text.splitlines()) == 1
    assert "\x1b" not in written.text


def test_tokens_are_cut_out_wherever_they_are(written: Written) -> None:
    token, api = new_enrollment_token("https://a.example"), "dxp_" + "a" * 43
    written.log.info(f"said {token}", message=f'"{token}", {api}.')
    assert token.split("_")[2] not in written.text
    assert "a" * 43 not in written.text
    assert "dxe_…" in written.text


def test_bugs_come_with_their_traceback_and_without_tokens(written: Written) -> None:
    token = new_enrollment_token("https://a.example")
    try:
        raise RuntimeError(f"broken by {token}")
    except RuntimeError as error:
        written.log.bug("Something broke", error, where="here")
    assert "where=here" in written.text
    assert "RuntimeError: broken by dxe_…" in written.text
