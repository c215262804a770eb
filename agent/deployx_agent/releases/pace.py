"""How fast downloads may be, all of them together."""

import threading
import time
from collections.abc import Callable

_BLOCK_MAX = 256 * 1024
_BLOCK_MIN = 4 * 1024
_BLOCKS_PER_S = 4


class Pace:
    """At most ``rate`` bytes a second, 0 for as fast as it goes. ``spend`` is called in the threads that read.

    Time that nothing was read in is not made up for: after a pause there is no burst.
    """

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    @property
    def block(self) -> int:
        """How many bytes to read at a time, so that no wait is long."""
        return min(_BLOCK_MAX, max(_BLOCK_MIN, self._rate // _BLOCKS_PER_S)) if self._rate else _BLOCK_MAX

    def spend(self, count: int) -> None:
        """Wait until ``count`` bytes that were read are paid for."""
        if not self._rate:
            return
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self._rate
            wait_s = self._free_at - now
        self._sleep(wait_s)
