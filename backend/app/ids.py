"""Ids of rows that are made in numbers: UUIDv7 (RFC 9562), so that later rows sort after earlier ones, as text too.

Invariant: within one process each id is greater than the one before it, even when the clock stands still or goes back.
Ids of two processes sort by their clocks.
"""

import secrets
import threading
import time
from collections.abc import Callable
from uuid import UUID

_COUNTER_BITS = 42
_RANDOM_BITS = 32


class Ids:
    """A source of ids. Layout after the 48 bits of milliseconds: a counter of 42 bits, seeded anew each millisecond,
    then 32 random bits."""

    def __init__(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._last_ms = 0
        self._counter = 0

    def new(self) -> str:
        """The next id: 36 characters, lower case."""
        with self._lock:
            now_ms = self._clock_ms()
            self._counter += 1
            if now_ms > self._last_ms:
                self._last_ms = now_ms
                self._counter = secrets.randbits(_COUNTER_BITS - 1)  # the top bit is room to count
            elif self._counter >> _COUNTER_BITS:
                self._last_ms += 1
                self._counter = secrets.randbits(_COUNTER_BITS - 1)
            ms, counter = self._last_ms, self._counter
        high = counter >> (_COUNTER_BITS - 12)
        low = counter & ((1 << (_COUNTER_BITS - 12)) - 1)
        tail = (low << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        return str(UUID(int=(ms << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | tail))


_ids = Ids()
new_id = _ids.new
"""The next id of this process."""
