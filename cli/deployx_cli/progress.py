"""One line on stderr that is written again and again while somebody waits, where stderr is a terminal."""

import os
import shutil
import sys
from collections.abc import Mapping

_WIDTH = 24
_WAITING = ("queued", "sent", "accepted")
_ORDER = (
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "interrupted",
    "expired",
    "lost",
    "running",
    "accepted",
    "sent",
    "queued",
)


class Progress:
    """Shows a line, and takes it away before anything else is printed."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = ""

    def show(self, text: str) -> None:
        """Put `text` in place of the line."""
        if self._on and text != self._shown:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{text[:width]}")
            sys.stderr.flush()
            self._shown = text

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = ""

    def say(self, sentence: str) -> None:
        """Print a sentence for people, which stays."""
        self.clear()
        print(sentence, file=sys.stderr)


def bar(counts: Mapping[str, int]) -> str:
    """How far a run is, as one line."""
    total = sum(counts.values())
    running, waiting = counts.get("running", 0), sum(counts.get(state, 0) for state in _WAITING)
    over = total - running - waiting
    filled = _WIDTH * over // total if total else 0
    said = [f"{over} of {total} done"]
    said += [f"{counts[state]} {state.replace('_', ' ')}" for state in _ORDER[1:7] if counts.get(state)]
    said += [f"{running} running"] if running else []
    said += [f"{waiting} waiting"] if waiting else []
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {', '.join(said)}"


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """The same counts, what is over first."""
    known = {state: counts[state] for state in _ORDER if counts.get(state)}
    return {**known, **{state: count for state, count in counts.items() if count and state not in known}}
