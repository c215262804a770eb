"""What is remembered of slots, in one file: which version runs, which one it came from, and which one is on trial.

Each writing replaces the file whole and is on the disk when it returns. There is one writer at a time: the agent that
holds the state folder, or the watchdog while none runs. Invariants: a version becomes `current` only by `confirmed`,
which is written by itself once it has registered; what is written by another version is read as far as it is known.
"""

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deployx_agent import VERSION
from deployx_agent.state import durable
from deployx_agent.update.here import BASE, SLOTS, own_slot

_NAME = "record.json"


def python_tag() -> str:
    """What the binary parts of a slot were made for."""
    return sys.implementation.cache_tag or ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A version, and where it lies."""

    slot: str
    version: str
    number: int = 0
    """As its metadata has it; 0: it came by hand."""
    python: str = ""
    base: str = ""
    """The version of the base when this came; another base means that somebody has installed by hand since."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A version that has to register."""

    task_id: str
    to: Slot
    patience_s: float
    starts: int = 0
    """How often it was started."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why the last trial was given up. It is not tried again until somebody orders that."""

    task_id: str
    version: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """All of it."""

    current: Slot
    previous: Slot | None = None
    trial: Trial | None = None
    failed: Failed | None = None
    confirmed: str = ""
    """The task whose trial was the last to succeed."""
    highest: int = 0
    """The greatest number that was ever confirmed here: nothing is installed below it."""

    # ------------------------------------------------------------ what follows from it

    @property
    def base(self) -> str:
        """The version that is installed by hand. A slot was only started because its base is the one of its record."""
        if (own := own_slot()) == BASE:
            return VERSION
        slots = (self.current, *([self.trial.to] if self.trial else []), *([self.previous] if self.previous else []))
        return next((slot.base for slot in slots if slot.slot == own), "")

    def usable(self, slot: Slot) -> bool:
        """Whether ``slot`` can be started: the base has not been replaced by hand since it came, nor its Python."""
        return slot.slot == BASE or (slot.slot in SLOTS and (slot.python, slot.base) == (python_tag(), self.base))

    @property
    def runs(self) -> Slot:
        """What to run when nothing is on trial."""
        return self.current if self.usable(self.current) else Slot(BASE, self.base)

    @property
    def tries(self) -> Trial | None:
        """What is to be tried now."""
        return self.trial if self.trial and self.usable(self.trial.to) else None

    @property
    def back(self) -> Slot | None:
        """The version before the present one, if it is still there."""
        known = self.usable(self.current) and self.previous and self.previous.slot != self.current.slot
        return self.previous if known and self.previous and self.usable(self.previous) else None

    def free_slot(self) -> str:
        """Where the next version goes: never over the present one, over the one before it only if it has to."""
        taken = [self.runs.slot, *([self.back.slot] if self.back else [])]
        return next((slot for slot in SLOTS if slot not in taken), next(slot for slot in SLOTS if slot != taken[0]))

    # ------------------------------------------------------------ what becomes of it

    def beginning(self, trial: Trial) -> "Record":
        """``trial`` is next."""
        return replace(self, current=self.runs, previous=self.back, trial=trial, failed=None)

    def started(self, more: int = 1) -> "Record":
        """What is on trial is started once more, or that start does not count."""
        trial = self._on_trial()
        return replace(self, trial=replace(trial, starts=max(trial.starts + more, 0)))

    def confirming(self) -> "Record":
        """What is on trial has registered."""
        trial = self._on_trial()
        highest = max(self.highest, trial.to.number)
        return Record(trial.to, self.current, confirmed=trial.task_id, highest=highest)

    def giving_up(self, code: str, reason: str) -> "Record":
        """What is on trial is given up."""
        trial = self._on_trial()
        failed = Failed(trial.task_id, trial.to.version, code, reason)
        return replace(self, trial=None, failed=failed)

    def _on_trial(self) -> Trial:
        if self.trial is None:
            raise AssertionError("nothing is on trial")
        return self.trial


def fresh() -> Record:
    """Of a base that never had an update."""
    return Record(Slot(BASE, VERSION))


def read(folder: Path) -> Record | None:
    """None: there never was an update. Raises durable.Unusable."""
    return durable.read(folder / _NAME, _record)


def write(folder: Path, record: Record) -> None:
    """Durable when it returns. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    durable.write(folder / _NAME, {"format": 1, **asdict(record)})


def _record(content: dict[str, Any]) -> Record:
    trial, failed = content.get("trial"), content.get("failed")
    return Record(
        current=_slot(content["current"]),
        previous=_slot(content["previous"]) if content.get("previous") else None,
        trial=Trial(str(trial["task_id"]), _slot(trial["to"]), float(trial["patience_s"]), int(trial["starts"]))
        if trial
        else None,
        failed=Failed(*(str(failed[name]) for name in ("task_id", "version", "code", "reason"))) if failed else None,
        confirmed=str(content.get("confirmed", "")),
        highest=int(content.get("highest", 0)),
    )


def _slot(content: dict[str, Any]) -> Slot:
    number = int(content.get("number", 0))
    text = {name: str(content.get(name, "")) for name in ("slot", "version", "python", "base")}
    return Slot(text["slot"], text["version"], number, text["python"], text["base"])
