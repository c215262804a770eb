"""The heartbeat's clockwork: when the next ping is due and when a missing pong means that the socket is broken.

Pure: it is told the time. Invariant: the first ping comes at a random point of the first interval, so that agents which
registered together do not beat together.
"""

from collections.abc import Callable

PONG_TIMEOUT_MIN_S = 15.0
PONG_TIMEOUT_MAX_S = 60.0


class Heartbeat:
    """One connection's heartbeat; times are seconds of a monotonic clock."""

    def __init__(
        self, interval_s: float, pong_timeout_s: float | None, now: float, random: Callable[[], float]
    ) -> None:
        self.interval_s = interval_s
        self.pong_timeout_s = pong_timeout_s or min(max(interval_s, PONG_TIMEOUT_MIN_S), PONG_TIMEOUT_MAX_S)
        self._next_ping = now + interval_s * random()
        self._unanswered_since: float | None = None

    @property
    def deadline(self) -> float:
        """When something is to be done next."""
        if self._unanswered_since is None:
            return self._next_ping
        return min(self._next_ping, self._unanswered_since + self.pong_timeout_s)

    def due(self, now: float) -> bool:
        """Whether a ping is to be sent."""
        return now >= self._next_ping

    def sent(self, now: float) -> None:
        """A ping was sent."""
        self._next_ping = now + self.interval_s
        if self._unanswered_since is None:
            self._unanswered_since = now

    def answered(self) -> None:
        """A pong came."""
        self._unanswered_since = None

    def overdue(self, now: float) -> bool:
        """Whether the pong should have come by now."""
        return self._unanswered_since is not None and now >= self._unanswered_since + self.pong_timeout_s
