"""Log lines: a timestamp, the level, the specification's words, two spaces, ``key=value`` fields.

Standard library only: the agent's memory is counted. Invariants: one event is one line, whatever a server puts into a
field, and an enrolment token never reaches the log, not even inside somebody else's message.
"""

import json
import logging
import re
import sys
import time
from functools import lru_cache
from typing import Any

_PLAIN = re.compile(r"[\w.:/@+%-]+")
_TOKEN = re.compile(r"\b(dx[ep])_[0-9A-Za-z]+(?:_[0-9A-Za-z]+)?")
_FIELDS = "deployx_fields"
_NAMES = {level: logging.getLevelName(level) for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)}


class Log:
    """Writes events of the agent. ``words`` are for people, ``fields`` for machines.

    ``handler``: where its lines go, past the logger, whose records and filters cost as much as the work that they tell
    of."""

    def __init__(self, logger: logging.Logger, handler: "LineHandler | None" = None) -> None:
        self._logger = logger
        self._handler = handler

    def debug(self, words: str, **fields: Any) -> None:
        """What only someone who looks for a fault wants to see."""
        self._write(logging.DEBUG, words, fields)

    def info(self, words: str, **fields: Any) -> None:
        """The life of the agent."""
        self._write(logging.INFO, words, fields)

    def warning(self, words: str, **fields: Any) -> None:
        """An operational failure that the agent copes with."""
        self._write(logging.WARNING, words, fields)

    def error(self, words: str, **fields: Any) -> None:
        """A failure that needs a person."""
        self._write(logging.ERROR, words, fields)

    def bug(self, words: str, error: BaseException, **fields: Any) -> None:
        """A bug, with its traceback."""
        self._logger.error(words, extra={_FIELDS: fields}, exc_info=error)

    def _write(self, level: int, words: str, fields: dict[str, Any]) -> None:
        if self._handler is None:
            self._logger.log(level, words, extra={_FIELDS: fields})
        elif self._logger.isEnabledFor(level):
            self._handler.write(_line(time.time(), _NAMES[level], words, fields))


class LineFormatter(logging.Formatter):
    """``2026-11-24T05:00:00.123Z [INFO] words  key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback under it when there is one."""
        line = _line(record.created, record.levelname, record.getMessage(), getattr(record, _FIELDS, {}))
        return line + "\n" + _untold(self.formatException(record.exc_info)) if record.exc_info else line


class LineHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes records, and lines that are made already."""

    def write(self, line: str) -> None:
        """``line``, whole; what cannot be written is lost, as with records."""
        assert self.lock is not None
        with self.lock:
            try:
                self.stream.write(line + "\n")
                self.stream.flush()
            except (OSError, ValueError):
                pass


def _line(created: float, level: str, words: str, fields: dict[str, Any]) -> str:
    minutes, seconds = divmod(created, 60)
    line = f"{_minute(int(minutes))}:{int(seconds):02d}.{int(seconds % 1 * 1000):03d}Z [{level}] {_one_line(words)}"
    pairs = ""
    for key, value in fields.items():
        if value is not None:
            text = f"{value:.3g}" if isinstance(value, float) else str(value)
            pairs += f" {key}={text if _PLAIN.fullmatch(text) else _quoted(text)}"
    return _untold(f"{line} {pairs}" if pairs else line)


def _untold(text: str) -> str:
    return _TOKEN.sub(r"\1_…", text) if "dx" in text else text


@lru_cache(1)
def _minute(minutes: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(minutes * 60))


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


def set_up(level: str) -> Log:
    """Send the agent's log to standard error; the libraries below speak only when something is wrong."""
    # What Python's documentation names as the cost of each line, and no line of ours shows.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = LineHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger = logging.getLogger("deployx.agent")
    logger.setLevel(level)
    return Log(logger, handler)
