"""Ids of rows that are made in numbers: UUIDv7 (RFC 9562), so that later rows sort after earlier ones, as text too.

Invariant: within one process each id is greater than the one before it, even when the clock stands still or goes back.
Ids of two processes sort by their clocks.
"""

import secrets
import threading
import time
from collections.abc import Callable

_COUNTER_BITS = 42
_NOISE_BYTES = 4


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
        return self.many(1)[0]

    def many(self, count: int) -> list[str]:
        """The next ids, in order."""
        noise = secrets.token_bytes(_NOISE_BYTES * count)
        with self._lock:
            return [_text(*self._next(), noise[at : at + _NOISE_BYTES]) for at in range(0, len(noise), _NOISE_BYTES)]

    def _next(self) -> tuple[int, int]:
        """Milliseconds and counter."""
        now_ms = self._clock_ms()
        self._counter += 1
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            self._counter = secrets.randbits(_COUNTER_BITS - 1)  # the top bit is room to count
        elif self._counter >> _COUNTER_BITS:
            self._last_ms += 1
            self._counter = secrets.randbits(_COUNTER_BITS - 1)
        return self._last_ms, self._counter


def _text(ms: int, counter: int, noise: bytes) -> str:
    high = 0x7000 | counter >> (_COUNTER_BITS - 12)
    low = counter & ((1 << (_COUNTER_BITS - 12)) - 1)
    first, last = f"{ms:012x}", f"{0b10 << 30 | low:08x}"
    return f"{first[:8]}-{first[8:]}-{high:04x}-{last[:4]}-{last[4:]}{noise.hex()}"


_ids = Ids()
new_id = _ids.new
"""The next id of this process."""
new_ids = _ids.many
"""The next ids of this process."""
