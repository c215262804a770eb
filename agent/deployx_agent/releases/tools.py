"""What every release on this machine is handled with, and how its task is spoken of."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from deployx_agent.logs import Log
from deployx_agent.releases.depot import Depot
from deployx_agent.releases.looking import Release
from deployx_agent.releases.memory import Memory, Verdict
from deployx_agent.releases.programs import Programs
from deployx_agent.releases.surroundings import Surroundings
from deployx_agent.tasks.entry import Entry
from deployx_agent.tasks.runner import Control, Ending
from deployx_agent.tasks.store import Store
from deployx_protocol.releases import Manifest, Outcome, Phase
from deployx_protocol.tasks import TaskCode, TaskState


@dataclass(frozen=True, slots=True)
class Tools:
    """Of one agent."""

    around: Surroundings
    memory: Memory
    depot: Depot
    store: Store
    on_output: Callable[[Entry], None]
    on_phase: Callable[[Entry], None]
    log: Log

    def release(self, manifest: Manifest, entry: Entry) -> Release:
        """One as ``entry`` handles it."""
        about = {"RELEASE_NAME": manifest.name, "RELEASE_VERSION": manifest.version}
        programs = Programs(self.store, entry, about, self.on_output)
        return Release(manifest, entry.task_id, self.around.folder, self.depot, programs)

    def say(self, entry: Entry, phase: Phase, percent: int | None = None) -> None:
        """What the release is at."""
        entry.phase, entry.percent = phase, percent
        self.on_phase(entry)


class Undoing(Control):
    """While something is undone only the agent's own end ends it: called off is what it is already."""

    def end(self, state: TaskState, code: TaskCode = TaskCode.NONE, message: str = "") -> None:
        """Only if the agent stops."""
        if state is TaskState.INTERRUPTED:
            super().end(state, code, message)


class Timer:
    """Ends what runs in ``entry`` when its time is up, as its time-out."""

    def __init__(self, entry: Entry, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(seconds, lambda: entry.control.end(TaskState.TIMED_OUT))

    def stop(self) -> None:
        """It has its time."""
        self._handle.cancel()


def ending_of(verdict: Verdict) -> Ending:
    """As tasks end."""
    return Ending(verdict.state, TaskCode(verdict.code), verdict.message, outcome=verdict.outcome)


def untouched(state: TaskState, code: TaskCode = TaskCode.NONE, message: str = "") -> Ending:
    """Of a release that has changed nothing."""
    return Ending(state, code, message, outcome=Outcome.UNTOUCHED)
