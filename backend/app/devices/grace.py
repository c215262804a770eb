"""How long the rows of a lost server wait for their agents, whatever is done to the clock meanwhile.

Invariant: a grace is measured on the monotonic clock of the process that watches it. The database's clock only says for
how long a server had been lost when this process first saw it, and is told anew whenever that clock was set. It begins
with the last sign of life, but never before this process did: when all servers were away, no agent could come back.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from app.devices.models import Node

_NOT_SET_S = 1.0
"""What two clocks may drift apart without one of them having been set."""


class Grace:
    """The graces of all lost nodes, of ``grace_s`` seconds each."""

    def __init__(self, grace_s: float, monotonic: Callable[[], float] = time.monotonic, *, lease_s: float) -> None:
        self._grace_s = grace_s
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._began = monotonic()
        self._lost_at: dict[str, float] = {}

    def is_over(self, node: Node, now: datetime) -> bool:
        """Whether ``node``, which is lost, has been so for long enough. ``now`` is the database's clock."""
        at = self._monotonic()
        if node.id not in self._lost_at:
            before_s = (now - node.found_dead_at).total_seconds() if node.found_dead_at else self._silent_s(node, now)
            self._lost_at[node.id] = at - min(max(before_s, 0.0), self._grace_s)
        lost_s = at - self._lost_at[node.id]
        since = now - timedelta(seconds=lost_s)
        if node.found_dead_at is None or abs((since - node.found_dead_at).total_seconds()) > _NOT_SET_S:
            node.found_dead_at = since
        return lost_s >= self._grace_s

    def _silent_s(self, node: Node, now: datetime) -> float:
        """For how long there was no sign of life before this moment, at which it is first seen to be lost."""
        silent_s = (now - node.lease_expires_at).total_seconds() + self._lease_s
        return min(silent_s, 2 * self._lease_s, self._monotonic() - self._began)

    def ends(self, node: Node) -> None:
        """``node`` is back."""
        self._lost_at.pop(node.id, None)
        node.found_dead_at = None
