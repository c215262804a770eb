"""Transports whose peers have not said who they are yet: so many of one address, each for so long."""

import asyncio
from collections import Counter
from collections.abc import Callable


class Admission:
    """``most`` of one address at a time. ``late`` is called with the transport that took ``deadline_s``."""

    def __init__(self, most: int, deadline_s: float, late: Callable[[str], None]) -> None:
        self._most = most
        self._deadline_s = deadline_s
        self._late = late
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[str, tuple[str, asyncio.TimerHandle]] = {}

    def admit(self, eio_sid: str, address: str) -> bool:
        """Start its deadline; False if its address has too many."""
        if self._by_address[address] >= self._most:
            return False
        self._by_address[address] += 1
        timer = asyncio.get_running_loop().call_later(self._deadline_s, self._late, eio_sid)
        self._waiting[eio_sid] = address, timer
        return True

    def done(self, eio_sid: str) -> None:
        """It said who it is, or is gone. A second call does nothing."""
        address, timer = self._waiting.pop(eio_sid, ("", None))
        if timer is None:
            return
        timer.cancel()
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
