"""When to ask each peer whether it is there, and how long it may owe the answer: one wheel of timers for all.

Invariant: only the pong that is owed decides whether a peer is there. It is judged by the loop's monotonic clock, and
not before all that arrived in time has been read: a server that did not run for a while loses nobody for it.
"""

import asyncio
import random
from typing import Protocol

TICK_S = 0.25
"""Deadlines are kept to this, late and never early."""
STALLED_S = 1.0
"""A deadline that is noticed so much too late says that this process did not run."""
_TURNS_TO_READ = 50
"""Turns of the loop in which what has arrived gets from the kernel to the connection; a few are enough."""


class Pinged(Protocol):
    """A connection, as the wheel sees it."""

    watch: "Watch"

    @property
    def at_work(self) -> bool:
        """Whether an event of it is being handled: its pong may wait behind that."""

    def ping(self) -> None:
        """Ask whether the peer is there."""

    def overdue(self) -> None:
        """It did not answer."""


class Watch:
    """What the wheel knows of one connection."""

    __slots__ = ("last_chance", "owes", "slot")

    def __init__(self) -> None:
        self.slot = -1
        self.owes = False
        self.last_chance = False


class Deadlines:
    """Pings each connection ``interval_s`` after its last answer, and gives it ``timeout_s`` for the next."""

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._slots: dict[int, set[Pinged]] = {}
        self._turn: asyncio.TimerHandle | None = None
        self._next = 0
        self._judging: set[asyncio.Task[None]] = set()

    def add(self, connection: Pinged) -> None:
        """Watch from now on. The first ping comes sooner, so that those who came together are not pinged together."""
        self._put(connection, self._interval_s * random.random())  # noqa: S311 - not a secret

    def answered(self, connection: Pinged) -> None:
        """A pong came."""
        watch = connection.watch
        if watch.owes:
            self.remove(connection)
            watch.owes = watch.last_chance = False
            self._put(connection, self._interval_s)

    def remove(self, connection: Pinged) -> None:
        """Watch it no more."""
        slot = self._slots.get(connection.watch.slot)
        if slot:
            slot.discard(connection)
        connection.watch.slot = -1

    def close(self) -> None:
        """Watch nobody any more."""
        if self._turn:
            self._turn.cancel()
            self._turn = None
        self._slots.clear()

    def _put(self, connection: Pinged, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        slot = int((loop.time() + delay_s) / TICK_S) + 1
        connection.watch.slot = slot
        self._slots.setdefault(slot, set()).add(connection)
        if self._turn is None:
            self._next = int(loop.time() / TICK_S) + 1
            self._turn = loop.call_at(self._next * TICK_S, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        expired: list[Pinged] = []
        while self._next * TICK_S <= now:
            stalled = now > self._next * TICK_S + STALLED_S
            for connection in self._slots.pop(self._next, ()):
                connection.watch.slot = -1
                self._due(connection, expired, stalled=stalled)
            self._next += 1
        if expired:
            task = loop.create_task(self._judge(expired))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)
        self._turn = loop.call_at(self._next * TICK_S, self._tick) if self._slots else None

    def _due(self, connection: Pinged, expired: list[Pinged], *, stalled: bool) -> None:
        watch = connection.watch
        if watch.owes and (watch.last_chance or not (stalled or connection.at_work)):
            expired.append(connection)
            return
        watch.last_chance = watch.owes  # the ping may be here still, or the pong behind an event
        watch.owes = True
        self._put(connection, self._timeout_s)
        connection.ping()

    async def _judge(self, expired: list[Pinged]) -> None:
        for _ in range(_TURNS_TO_READ):
            await asyncio.sleep(0)
        for connection in expired:
            if connection.watch.owes and connection.watch.slot == -1:
                connection.overdue()
