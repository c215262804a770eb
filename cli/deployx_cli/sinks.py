"""Where the output of tasks goes: lines for people, bytes as they are, or kept for JSON.

Each sink takes the chunks of a task as they come (`feed`), and is told when there are no more (`end`).
"""

import os
import re
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from deployx_cli import safe
from deployx_cli.progress import Progress

STDERR = 2
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_LONGEST_LINE = 65_536
"""Bytes; what is longer is broken there."""

Chunks = Sequence[tuple[int, bytes]]
Task = dict[str, Any]


class Sink(Protocol):
    """What output can be given to."""

    def feed(self, task: Task, chunks: Chunks) -> None:
        """More output of a task."""

    def end(self, task: Task) -> None:
        """There is no more."""


class Lines:
    """Whole lines, made safe for a terminal: stdout to stdout, stderr to stderr, or both to stdout if one is picked.

    `prefixed`: each line begins with the name of its device.
    """

    def __init__(self, progress: Progress, *, prefixed: bool, stream: int | None = None) -> None:
        self._progress = progress
        self._prefixed = prefixed
        self._stream = stream
        self._begun: dict[tuple[str, int], bytes] = {}

    def feed(self, task: Task, chunks: Chunks) -> None:
        """Print the lines that are whole by now."""
        for stream, data in chunks:
            if self._stream in (None, stream):
                *whole, rest = _LINE_END.split(self._begun.pop((task["id"], stream), b"") + data)
                while len(rest) > _LONGEST_LINE:
                    whole.append(rest[:_LONGEST_LINE])
                    rest = rest[_LONGEST_LINE:]
                self._begun[task["id"], stream] = rest
                self._print(task, stream, whole)

    def end(self, task: Task) -> None:
        """Print what stands behind the last line's end."""
        for stream in (1, 2):
            if rest := self._begun.pop((task["id"], stream), b"").rstrip(b"\r"):
                self._print(task, stream, [rest])

    def _print(self, task: Task, stream: int, lines: list[bytes]) -> None:
        if not lines:
            return
        self._progress.clear()
        target = sys.stderr if stream == STDERR and self._stream is None else sys.stdout
        colour = target.isatty() and "NO_COLOR" not in os.environ
        prefix = f"{safe.text(task['device_name'])}: " if self._prefixed else ""
        text = "".join(f"{prefix}{safe.line(line.decode(errors='replace'), colour=colour)}\n" for line in lines)
        target.buffer.write(text.encode(errors="replace"))
        target.flush()


class Raw:
    """The bytes of one task, as the device sent them."""

    def __init__(self, progress: Progress, *, stream: int | None = None) -> None:
        self._progress = progress
        self._stream = stream

    def feed(self, task: Task, chunks: Chunks) -> None:
        """Write them."""
        self._progress.clear()
        for stream, data in chunks:
            if self._stream in (None, stream):
                target = sys.stderr if stream == STDERR and self._stream is None else sys.stdout
                target.buffer.write(data)
                target.flush()

    def end(self, task: Task) -> None:
        """Nothing is held back."""


class Kept:
    """All output by task, as text."""

    def __init__(self, *, stream: int | None = None) -> None:
        self._stream = stream
        self._found: dict[tuple[str, int], bytearray] = {}

    def feed(self, task: Task, chunks: Chunks) -> None:
        """Keep it."""
        for stream, data in chunks:
            if self._stream in (None, stream):
                self._found.setdefault((task["id"], stream), bytearray()).extend(data)

    def end(self, task: Task) -> None:
        """Nothing is held back."""

    def with_output(self, task: Task) -> Task:
        """The task with `stdout` and `stderr`; bytes that are no UTF-8 are replaced."""
        names = {1: "stdout", 2: "stderr"}
        picked = {name: number for number, name in names.items() if self._stream in (None, number)}
        texts = {
            name: self._found.get((task["id"], number), b"").decode(errors="replace") for name, number in picked.items()
        }
        return {**task, **texts}
