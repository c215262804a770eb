"""What the benchmark is doing, on standard error, so that nobody takes a slow machine for a hanging one."""

import sys
import time

_BEGAN = time.monotonic()


def say(words: str) -> None:
    """Say it, with the seconds since the start."""
    print(f"  {time.monotonic() - _BEGAN:4.0f} s  {words} …", file=sys.stderr, flush=True)
