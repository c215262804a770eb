"""What waits for its turn: tasks in the order of their receipt, each until it is taken, called off, or too late.

Invariant: it costs the same to add, take or remove one, however many wait; one timer serves all of them.
"""

import asyncio
from collections.abc import Callable

from deployx_agent.tasks.entry import Entry, clock

_LATER_S = 0.01
"""So much after its time a task is surely late, whatever the clocks round."""


class Waiting:
    """``on_late`` is given those whose time to start is over; they do not wait any more."""

    def __init__(self, on_late: Callable[[list[Entry]], None]) -> None:
        self._on_late = on_late
        self._entries: dict[str, Entry] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._entries)

    def add(self, entry: Entry, expires_in_s: float) -> None:
        """It waits behind all others, for so long at most."""
        entry.start_by = clock() + expires_in_s
        self._entries[entry.task_id] = entry
        self._wake_by(entry.start_by)

    def take(self) -> Entry | None:
        """The next one that is not too late."""
        while self._entries:
            entry = self._entries.pop(next(iter(self._entries)))
            if clock() < entry.start_by:
                return entry
            self._on_late([entry])
        return None

    def remove(self, entry: Entry) -> None:
        """It does not wait any more, if it did."""
        self._entries.pop(entry.task_id, None)

    def _wake_by(self, start_by: float) -> None:
        if self._timer and self._timer_at <= start_by:
            return
        if self._timer:
            self._timer.cancel()
        self._timer_at = start_by
        delay_s = max(start_by - clock(), 0.0) + _LATER_S
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer, now = None, clock()
        late = [entry for entry in self._entries.values() if now >= entry.start_by]
        for entry in late:
            del self._entries[entry.task_id]
        if self._entries:
            self._wake_by(min(entry.start_by for entry in self._entries.values()))
        if late:
            self._on_late(late)
