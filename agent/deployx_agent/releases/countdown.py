"""Time that runs out although the agent, or the machine, starts anew in between.

The clock that counts from the boot, sleep included; the wall clock may be set by anybody. What passes while the machine
is off does not count: nothing can be tried then. Invariant: with each time that it is stored, less is left.
"""

import os
from dataclasses import dataclass
from typing import Any

from deployx_agent.tasks import processes
from deployx_agent.tasks.entry import clock


def boot() -> str:
    """What tells this boot of the machine from others."""
    return processes.identify(os.getpid()).partition(":")[0]


@dataclass(frozen=True, slots=True)
class Countdown:
    """``left_s`` were left ``at`` that time of that boot."""

    left_s: float
    at: float
    boot: str

    @classmethod
    def of(cls, seconds: float) -> "Countdown":
        """From now on."""
        return cls(seconds, clock(), boot())

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Countdown":
        """As it was stored. Raises KeyError, TypeError, ValueError."""
        return cls(float(stored["left_s"]), float(stored["at"]), str(stored["boot"]))

    def left(self) -> float:
        """How many seconds are left; 0 when there are none."""
        since = self.at if self.boot == boot() else 0.0  # on another boot all of its time has passed since
        return max(self.left_s - max(clock() - since, 0.0), 0.0)

    def stored(self) -> dict[str, Any]:
        """To be read again."""
        return {"left_s": self.left(), "at": clock(), "boot": boot()}
