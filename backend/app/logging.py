"""One line per event on stderr, for everything that this process logs, whichever library says it.

``2026-11-24T05:00:00.123Z [INFO] Agent registered: web-01  agent_id=web-01-1a2b3c4d source_ip=192.0.2.7``: the words
first (the specification's, where it has some), then two spaces and the fields. As JSON the words are ``event``.

Invariant: what a peer sends cannot start a line, hide or reorder one: every character that cannot be shown is escaped.
A traceback follows its line, indented. A line is written when it is said; within ``together``, when that ends.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.clock import Clock, iso, utcnow

_QUIET = ("uvicorn", "uvicorn.error", "sqlalchemy", "alembic", "engineio", "socketio", "asyncio", "aiosqlite")
_TRACEBACK_INDENT = "    "
_encode = json.JSONEncoder(default=str).encode
_gathered: ContextVar[list[tuple["_Lines", str]] | None] = ContextVar("gathered", default=None)


class _Lines:
    """Writes a line to a stream, or leaves that to whoever gathers it."""

    def __init__(self, stream: TextIO) -> None:
        self.write = structlog.WriteLogger(stream).msg

    def msg(self, line: str) -> None:
        """One line, of whatever level."""
        gathered = _gathered.get()
        if gathered is None:
            self.write(line)
        else:
            gathered.append((self, line))

    debug = info = warning = error = critical = msg


@contextmanager
def together() -> Iterator[None]:
    """Write the lines of one step at once when it ends, because to write costs more than to make a line. Nothing may be
    awaited within it, and what the lines tell is told to others after it: who hears of it finds it in the log."""
    lines: list[tuple[_Lines, str]] = []
    before = _gathered.set(lines)
    try:
        yield
    finally:
        _gathered.reset(before)
        if lines:
            lines[0][0].write("\n".join([line for _, line in lines]))


def configure(
    log_format: str = "text", log_level: str = "info", *, stream: TextIO | None = None, clock: Clock = utcnow
) -> None:
    """Send structlog's events and the standard library's records through one formatter to ``stream`` (stderr)."""
    threshold = logging.getLevelNamesMapping()[log_level.upper()]
    render = _json if log_format == "json" else _text
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp(clock),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_strip_color, structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(threshold)
    for name in _QUIET:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(threshold, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)


def escape(text: str) -> str:
    """``text`` with everything that cannot be shown on one line written as a backslash sequence."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def _text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    stamp, level, words = event.pop("timestamp"), event.pop("level").upper(), escape(str(event.pop("event")))
    traceback = event.pop("exception", "")
    fields = " ".join([f"{escape(str(key))}={_value(value)}" for key, value in event.items()])
    line = f"{stamp} [{level}] {words}" + (f"  {fields}" if fields else "")
    if not traceback:
        return line
    return "\n".join([line, *(_TRACEBACK_INDENT + escape(row) for row in str(traceback).splitlines())])


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encode(event)


def _value(value: Any) -> str:
    text = escape(str(value))
    if text and " " not in text and '"' not in text and "=" not in text:
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _stamp(clock: Clock) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"timestamp": iso(clock()), **event}

    return stamp


def _strip_color(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)
    return event
