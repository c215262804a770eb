"""When to try again, and when to give up: the specification's retry loop and auto-reconnect as one pure policy.

Before the first registration a failure waits RECONNECT_DELAY and a time-out backs off; after one, everything backs off
exponentially with full jitter, so that a fleet whose server restarts does not come back in one wave. Attempts are
counted anew after each registration. A registration refused for a reason that can pass spends none: the server is
there, and it says when to come back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

BACKOFF_CAP_S = 30.0
RETRY_AFTER_CAP_S = 3600.0
_RETRY_AFTER_SPREAD = 0.25
_DOUBLINGS_MAX = 16


class Why(StrEnum):
    """How the last attempt, or the connection it opened, ended."""

    FAILURE = "failure"  # refused, unreachable, not a DeployX server
    TIMEOUT = "timeout"
    LOST = "lost"  # an open connection is gone
    POSTPONED = "postponed"  # the server answered: later


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait before which attempt; ``attempt`` is 0 when the wait spends none."""

    delay_s: float
    attempt: int


class Retry:
    """Counts attempts. ``random`` gives numbers from 0 up to 1; ``attempts`` 0 means without end."""

    def __init__(self, attempts: int, delay_s: float, random: Callable[[], float]) -> None:
        self._attempts = attempts
        self._delay_s = delay_s
        self._cap_s = max(BACKOFF_CAP_S, delay_s)
        self._random = random
        self._spent = 0
        self._postponed = 0
        self._established = False

    def registered(self) -> None:
        """A registration succeeded: count anew."""
        self._spent = self._postponed = 0
        self._established = True

    def next(self, why: Why, retry_after_s: float | None = None) -> Wait | None:
        """How long to wait now, or None when the attempts are spent."""
        if why is Why.POSTPONED:
            self._postponed += 1
            return Wait(self._delay(why, retry_after_s, self._postponed), 0)
        if self._attempts and self._spent >= self._attempts:
            return None
        self._spent += 1
        return Wait(self._delay(why, retry_after_s, self._spent), self._spent)

    def _delay(self, why: Why, retry_after_s: float | None, number: int) -> float:
        if retry_after_s is not None and retry_after_s >= 0:
            return min(retry_after_s, RETRY_AFTER_CAP_S) * (1 + _RETRY_AFTER_SPREAD * self._random())
        if why is Why.FAILURE and not self._established:
            return self._delay_s
        return self._random() * min(self._cap_s, self._delay_s * 2.0 ** min(number - 1, _DOUBLINGS_MAX))
