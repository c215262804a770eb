"""Transports whose peers have not said who they are yet: so many of one address, each for so long."""

import asyncio
from collections import Counter
from collections.abc import Callable

from app.complaints import Complaints


class Admission:
    """``most`` of one address at a time. ``cut`` is called with the transport that took ``deadline_s``.

    ``peer`` ("agent", "dashboard") names what is logged: `agent.refused` beyond ``most``, `agent.too_late` at the
    deadline, a few times for each address and minute.
    """

    def __init__(self, peer: str, most: int, deadline_s: float, cut: Callable[[str], None]) -> None:
        self._most = most
        self._deadline_s = deadline_s
        self._cut = cut
        self._full = Complaints(f"{peer}.refused")
        self._late = Complaints(f"{peer}.too_late")
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[str, tuple[str, asyncio.TimerHandle]] = {}

    def admit(self, eio_sid: str, address: str) -> bool:
        """Start its deadline; False if its address has too many."""
        if self._by_address[address] >= self._most:
            self._full.note(address, f"{self._most} connections of this address have not said who they are")
            return False
        self._wait(eio_sid, address)
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

    def extend(self, eio_sid: str) -> None:
        """It waits for the server, which is busy: a new deadline, if it has one."""
        address, timer = self._waiting.get(eio_sid, ("", None))
        if timer is not None:
            timer.cancel()
            self._waiting[eio_sid] = address, self._timer(eio_sid, address)

    def readmit(self, eio_sid: str, address: str) -> None:
        """It has to say anew who it is: counted, though never refused, and with a new deadline."""
        self.done(eio_sid)
        self._wait(eio_sid, address)

    def _wait(self, eio_sid: str, address: str) -> None:
        self._by_address[address] += 1
        self._waiting[eio_sid] = address, self._timer(eio_sid, address)

    def _timer(self, eio_sid: str, address: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._deadline_s, self._expire, eio_sid, address)

    def _expire(self, eio_sid: str, address: str) -> None:
        self._late.note(address, f"it did not say within {self._deadline_s:g} s who it is")
        self._cut(eio_sid)
