"""What the operator sees: a line per step, and one sentence when something is wrong."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class SetupError(Exception):
    """The set-up cannot go on. The message is one sentence that says what to do; `output` is what a tool printed."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """One line on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """A piece of work that takes a while: its title when it starts, its time when it is done."""
    say(f"  {title} …")
    started = time.monotonic()
    yield
    say(f"  {title}: done in {time.monotonic() - started:.1f} s")
