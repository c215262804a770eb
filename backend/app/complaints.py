"""Warnings about peers that misbehave: enough to see who it is, too few to fill a disk."""

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Complaints:
    """At most ``per_window`` warnings ``event`` per address and minute; that there were more is said once."""

    PER_WINDOW = 5
    WINDOW_S = 60.0
    ADDRESSES_MAX = 10_000

    def __init__(
        self, event: str, clock: Callable[[], float] = time.monotonic, *, per_window: int = PER_WINDOW
    ) -> None:
        self._event = event
        self._per_window = per_window
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def note(self, address: str, why: str, **details: str) -> None:
        """Log one complaint, unless this address has had its share."""
        now = self._clock()
        start, count = self._windows.get(address, (now, 0))
        if now - start > self.WINDOW_S:
            start, count = now, 0
        if len(self._windows) > self.ADDRESSES_MAX:
            self._windows.clear()
        self._windows[address] = (start, count + 1)
        if count < self._per_window:
            log.warning(self._event, **details, why=why, source_ip=address)
        elif count == self._per_window:
            log.warning(self._event, why="more of the same; not logged for a minute", source_ip=address)
