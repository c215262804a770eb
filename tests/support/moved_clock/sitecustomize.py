"""Moves the wall clock of the Python process that has this folder on its PYTHONPATH, and of no other.

The file named by ``MOVED_CLOCK`` holds by how many seconds; it may change at any time. The monotonic clock goes on, as
it does when somebody sets the clock of a machine.
"""

import os
import time
from pathlib import Path

_file = Path(os.environ["MOVED_CLOCK"])
_wall, _wall_ns = time.time, time.time_ns


def _moved_s() -> float:
    return float(_file.read_text())


def _time() -> float:
    return _wall() + _moved_s()


def _time_ns() -> int:
    return _wall_ns() + int(_moved_s() * 1_000_000_000)


time.time, time.time_ns = _time, _time_ns
