"""What the simulated devices saw and did: the one side of what the oracle compares. It forgets nothing.

It is no part of any agent: a restart or a lost journal leaves it as it is, as a file of marks on each machine would be.
"""

import hashlib
import time
from dataclasses import dataclass, field

import msgspec

_SHORT_BYTES = 64


def mark(data: bytes) -> str:
    """By what a chunk of output is known again: the bytes themselves in hexadecimal digits, or their SHA-256."""
    return data.hex() if len(data) <= _SHORT_BYTES else hashlib.sha256(data).hexdigest()


class Seen(msgspec.Struct):
    """What happened to one task on its device."""

    device: str
    place: int
    """Of its first receipt among those of its device."""
    starts: int = 0
    """How often its command was started: its marks in the file."""
    state: str = ""
    """How it ended there; empty while it has not."""
    exit_code: int | None = None
    script: str = ""
    """The SHA-256 of the script that it ran, if it ran one."""
    output: list[tuple[int, str]] = []
    """(stream, ``mark``) of each chunk that it printed, in order, up to its end."""
    acknowledged_at: float | None = None
    """When the server said that the end and all output are saved: on the monotonic clock of this machine."""
    journal_lost: bool = False
    """It was in a journal that was lost before the server had acknowledged its end."""


class DeviceSeen(msgspec.Struct):
    """What happened to one device."""

    agent_id: str
    connected: bool = False
    """Whether it has a connection on which it is registered."""
    journal_lost_at: list[float] = []
    """When the server was told of a new journal, on the monotonic clock."""
    refused: list[str] = []
    """What the server refused or said that should never be said to it."""


class Report(msgspec.Struct):
    """All of that, of one process."""

    tasks: dict[str, Seen]
    devices: list[DeviceSeen]
    registrations_s: list[float] = []
    """From before the connection until `registration_success`."""
    pings_s: list[float] = []
    faults: dict[str, int] = {}
    """What went wrong on purpose, and how often."""


@dataclass
class Witness:
    """Writes the report of one process."""

    tasks: dict[str, Seen] = field(default_factory=dict)
    devices: dict[str, DeviceSeen] = field(default_factory=dict)
    registrations_s: list[float] = field(default_factory=list)
    pings_s: list[float] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)

    def device(self, agent_id: str) -> DeviceSeen:
        """The record of one device."""
        return self.devices.setdefault(agent_id, DeviceSeen(agent_id))

    def received(self, agent_id: str, task_id: str) -> Seen:
        """The record of a task; a new one takes the next place of its device."""
        seen = self.tasks.get(task_id)
        if seen is None:
            place = self._places[agent_id] = self._places.get(agent_id, 0) + 1
            seen = self.tasks[task_id] = Seen(agent_id, place)
        return seen

    def acknowledged(self, task_id: str) -> None:
        """The server has saved all of a task."""
        seen = self.tasks[task_id]
        seen.acknowledged_at = seen.acknowledged_at or time.monotonic()

    def fault(self, kind: str) -> None:
        """Something went wrong on purpose."""
        self.faults[kind] = self.faults.get(kind, 0) + 1

    def report(self) -> Report:
        """As it is now."""
        return Report(self.tasks, list(self.devices.values()), self.registrations_s, self.pings_s, self.faults)
