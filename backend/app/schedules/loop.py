"""The loop that fires schedules: it sleeps until the next time is due, or something was changed.

Of several servers one does it at a time; should two do it for a moment, nothing starts twice: ``firing`` sees to that.
"""

import asyncio
import contextlib
from datetime import datetime

import structlog

from app.clock import Clock, utcnow
from app.errors import Unavailable
from app.leading import Leadership, Term
from app.schedules.firing import Firings

POLL_S = 10.0
"""What another server changed is noticed within this."""
_AGAIN_S = 1.0

log = structlog.get_logger()


class ScheduleLoop:
    """Runs until cancelled. A database that is away is asked again."""

    def __init__(self, firings: Firings, leadership: Leadership, clock: Clock = utcnow) -> None:
        self._firings = firings
        self._leadership = leadership
        self._clock = clock
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """A schedule was made, changed or resumed here."""
        self._changed.set()

    async def run(self) -> None:
        """Fire, whenever this server leads."""
        await self._leadership.lead(self._fire)

    async def _fire(self, term: Term) -> None:
        while True:
            self._changed.clear()
            try:
                pause_s = self._until(await self._firings.turn(term))
            except Unavailable:
                log.warning("schedules.postponed")
                pause_s = _AGAIN_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause_s)

    def _until(self, due: datetime | None) -> float:
        if due is None:
            return POLL_S
        return min(max((due - self._clock()).total_seconds(), 0.01), POLL_S)
