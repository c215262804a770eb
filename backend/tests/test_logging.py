"""One line per event, whatever anybody sends: nothing that a peer says starts, hides or reorders a line."""

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from app import logging as server_log
from deployx_protocol import events
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, Serve

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\] \S")
EVIL = (
    "x\n2026-01-01T00:00:00.000Z [INFO] Agent registered: root",
    "x\r\nforged",
    "\x1b[2K\x1b[1A\x1b]0;title\x07",
    "a\u202eb\u2066c\u200bd",
    "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e",
    "\ud800 half",
    "\x00",
    'quote" user=root',
    "\\n",
)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Where log lines go in this test."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def configured(stream: io.StringIO, log_format: str = "text", log_level: str = "info") -> None:
    """Log to ``stream`` on a clock that stands."""
    clock = datetime(2026, 11, 24, 5, 0, 0, 123000, UTC)
    server_log.configure(log_format, log_level, stream=stream, clock=lambda: clock)


def test_a_line_has_words_and_fields(written: io.StringIO) -> None:
    configured(written)
    structlog.get_logger().info("Agent registered: web-01", agent_id="web-01-1a2b", source_ip="192.0.2.7", note="a b")
    assert written.getvalue() == (
        "2026-11-24T05:00:00.123Z [INFO] Agent registered: web-01  "
        'agent_id=web-01-1a2b source_ip=192.0.2.7 note="a b"\n'
    )


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("by", ["structlog", "library"])
def test_nothing_forges_a_line(by: str, log_format: str, evil: str, written: io.StringIO) -> None:
    configured(written, log_format)
    if by == "structlog":
        structlog.get_logger().warning(f"Agent registered: {evil}", **{"hostname": evil, evil: "key"})
    else:
        logging.getLogger("some.library").warning("Agent registered: %s", evil)
    [line] = written.getvalue().removesuffix("\n").split("\n")
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    if log_format == "json":
        assert json.loads(line)["event"] == f"Agent registered: {evil}"
    else:
        assert LINE.match(line)


def test_a_field_cannot_pass_for_another(written: io.StringIO) -> None:
    configured(written)
    structlog.get_logger().info("x", hostname='a" user="root', path="a=b", empty="")
    assert written.getvalue().endswith('x  hostname="a\\" user=\\"root" path="a=b" empty=""\n')


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_follows_its_line(log_format: str, written: io.StringIO) -> None:
    configured(written, log_format)
    try:
        raise ValueError("first\n2026-01-01T00:00:00.000Z [INFO] forged\x1b[31m")
    except ValueError:
        structlog.get_logger().exception("request.crashed", request_id="abc")
    first, *rest = written.getvalue().splitlines()
    assert "request.crashed" in first
    if log_format == "json":
        assert (rest, "ValueError" in json.loads(first)["exception"]) == ([], True)
    else:
        assert rest
        assert all(row.startswith("    ") and row.isprintable() for row in rest)


def test_levels_and_libraries_that_talk_too_much(written: io.StringIO) -> None:
    configured(written, log_level="warning")
    structlog.get_logger().info("not this")
    logging.getLogger("uvicorn.error").info("nor this")
    logging.getLogger("uvicorn.access").error("nor that")
    logging.getLogger("uvicorn.error").error("but this")
    structlog.get_logger().warning("and this")
    assert [line.partition("] ")[2].split("  ")[0] for line in written.getvalue().splitlines()] == [
        "but this",
        "and this",
    ]


def test_lines_of_one_step_are_written_at_once(written: io.StringIO) -> None:
    configured(written)
    log = structlog.get_logger()
    with pytest.raises(ValueError, match="amid it"), server_log.together():
        log.info("first")
        log.warning("second")
        assert written.getvalue() == ""
        raise ValueError("amid it")
    log.info("third")
    assert [line.partition("] ")[2] for line in written.getvalue().splitlines()] == ["first", "second", "third"]


@pytest.mark.parametrize("field", ["hostname", "agent_id", "machine_id", "platform", "ip_address"])
async def test_an_agent_cannot_forge_a_line(field: str, serve: Serve, agent: MakeAgent, lines: Lines) -> None:
    node = await serve(enrollment="approval")
    client = agent(node)
    await client.connect()
    for evil in EVIL:
        if "\ud800" in evil:
            continue  # no client can send half a surrogate pair as UTF-8
        payload = Machine().seed() | {field: evil}
        name, answer = await client.register_raw(payload)
        if name == events.REGISTRATION_SUCCESS:
            assert evil.isprintable()
        else:
            assert answer["code"] == "invalid_payload"
    logged = lines()
    assert logged
    for line in logged:
        assert line.startswith("    ") or LINE.match(line), line
        assert line.isprintable(), line
