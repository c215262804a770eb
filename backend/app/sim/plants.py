"""Bugs put in on purpose, in the agents and on their wire, to show that the oracle sees what it is there to see.

Each of what concerns tasks hits about one in four, chosen by its id, so that a short run has some and the rest goes on
as it should; what is posted or fetched is seldom enough to be hit each time.
"""

from collections.abc import Sequence
from enum import StrEnum

from deployx_protocol.frames import Frame
from deployx_protocol.task_messages import TaskUpdate
from deployx_protocol.tasks import FINAL

Chunk = tuple[int, bytes]
"""(stream, data)."""


class Plant(StrEnum):
    """Which bug."""

    DROP = "drop"  # the wire swallows a result and answers as if the server had saved it
    REPEAT = "repeat"  # the agent does a task twice
    MISORDER = "misorder"  # the agent keeps what was printed in another order
    PRESENCE = "presence"  # somebody keeps the connection of an agent alive that is gone
    POST = "post"  # output that is posted arrives as something else
    SCRIPT = "script"  # the agent runs another script than it was given


def swallows(plant: Plant | None, update: TaskUpdate) -> bool:
    """Whether the wire loses this report for good."""
    return plant is Plant.DROP and update.state in FINAL and _hit(update.task_id)


def times(plant: Plant | None, task_id: str) -> int:
    """How often the agent does this task."""
    return 2 if plant is Plant.REPEAT and _hit(task_id) else 1


def spooled(plant: Plant | None, task_id: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """What was printed as ``chunks``, as the agent keeps and sends it."""
    return list(reversed(chunks)) if plant is Plant.MISORDER and _hit(task_id) else list(chunks)


def posted(plant: Plant | None, frames: Sequence[Frame]) -> list[Frame]:
    """``frames`` as they arrive at the server."""
    return [one._replace(data=one.data[::-1]) for one in frames] if plant is Plant.POST else list(frames)


def fetched(plant: Plant | None, script: bytes) -> bytes:
    """``script`` as it arrives at the device."""
    return script + b"# and more\n" if plant is Plant.SCRIPT else script


def _hit(task_id: str) -> bool:
    return int(task_id[-2:], 16) % 4 == 0
