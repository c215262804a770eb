"""What this agent remembers of releases: the one that is under way, and for each name what is installed.

Each is one file, the old or the new one whatever happens. Invariant: the commit of a release is the replacing of the
file of its name; until then the record of what is under way is enough to put everything back.
"""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from deployx_agent.logs import Log
from deployx_agent.releases.stages import Stage, may_follow
from deployx_agent.releases.surroundings import CURRENT
from deployx_agent.state import durable
from deployx_protocol.releases import Action, Outcome
from deployx_protocol.tasks import TaskCode, TaskState

T = TypeVar("T")
_LONGEST_BYTES = 16 << 20
"""A package may bring hundreds of others along, each with what was kept of it."""


class Verdict(Struct, frozen=True, kw_only=True):
    """How a release ends, or what it was undone for."""

    state: TaskState
    code: str = ""
    message: str = ""
    outcome: Outcome = Outcome.NONE


class Current(Struct, frozen=True, kw_only=True):
    """The release that is under way, or was the last one."""

    task_id: str
    action: Action
    sha256: str
    """Of the payload whose steps are run."""
    stage: Stage
    name: str
    back_to: str = ""
    """The payload of the release to go back to; empty if there was none of its name."""
    goes_back: bool = False
    """It is a revert to what was kept: its own commit is that this has come back."""
    before: dict[str, Any] | None = None
    """What its kind needs to put back what was there."""
    why: Verdict | None = None
    """While it is undone: how that ends."""
    origins: list[str] = []
    """Servers of which any may confirm it, besides the one that is dialled."""
    countdown: dict[str, Any] | None = None
    """The time that is left to be confirmed."""
    reboots: int = 0
    boot: str = ""
    """In which it was written."""
    ending: Verdict | None = None
    """Once it is over."""


class Installed(Struct, frozen=True, kw_only=True):
    """The release of a name that is on this machine."""

    task_id: str
    """Which has committed it."""
    sha256: str
    version: str
    before: dict[str, Any] | None = None
    """What its kind needs to put back what was there; None if that is gone."""
    back_to: str = ""
    superseded: "Installed | None" = None
    """What was installed before, until what it had kept is removed: an agent may be killed in between."""


class Named(Struct, frozen=True, kw_only=True):
    """What is known of a name."""

    highest: int
    """The greatest number that was ever taken: nothing goes below it."""
    installed: Installed | None = None


class Memory:
    """In ``folder``, which is made when something is written. Raises OSError where it writes."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._folder = folder
        self._names = folder / "names"
        self._log = log

    # ------------------------------------------------------------ what is under way

    def current(self) -> Current | None:
        """The last release that was begun."""
        return self._read(self._folder / CURRENT, Current)

    def write(self, current: Current) -> None:
        """It has come that far. Durable when it returns."""
        before = self.current()
        if not may_follow(before.stage if before else None, current.stage):
            raise AssertionError(f"{current.stage} does not follow {before.stage if before else 'nothing'}")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        durable.write(self._folder / CURRENT, msgspec.to_builtins(current))

    # ------------------------------------------------------------ what is installed

    def named(self, name: str) -> Named | None:
        """What is known of ``name``."""
        return self._read(self._path(name), Named)

    def installed(self, name: str) -> Installed | None:
        """What of ``name`` is on this machine, as far as this agent put it there."""
        named = self.named(name)
        return named.installed if named else None

    def take(self, name: str, number: int) -> None:
        """``number`` is about to be installed: nothing goes below it any more."""
        named = self.named(name) or Named(highest=number)
        self._write(name, msgspec.structs.replace(named, highest=max(named.highest, number)))

    def commit(self, name: str, installed: Installed | None) -> None:
        """This is what is there from now on."""
        named = self.named(name) or Named(highest=0)
        self._write(name, msgspec.structs.replace(named, installed=installed))

    def settle(self) -> None:
        """A removal is committed by the end of what is under way; then what was installed is not any more."""
        current = self.current()
        if current and current.ending and current.ending.outcome is Outcome.REMOVED and self.installed(current.name):
            self.commit(current.name, None)

    def all_installed(self) -> list[Installed]:
        """Of every name."""
        found = [self._read(path, Named) for path in self._names.glob("*.json")] if self._names.is_dir() else []
        return [named.installed for named in found if named and named.installed]

    # ------------------------------------------------------------ files

    def _path(self, name: str) -> Path:
        return self._names / f"{name}.json"

    def _write(self, name: str, named: Named) -> None:
        self._names.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.sync_folder(self._folder)
        durable.write(self._path(name), msgspec.to_builtins(named))

    def _read(self, path: Path, kind: type[T]) -> T | None:
        try:
            return durable.read(path, lambda content: msgspec.convert(content, kind), _LONGEST_BYTES)
        except durable.Unusable as why:
            aside = durable.set_aside(path)
            self._log.error(f"What is remembered of a release cannot be used: {why}. It was set aside", set_aside=aside)
            return None


def killed(message: str, outcome: Outcome) -> Verdict:
    """Of what an earlier process had begun."""
    return Verdict(state=TaskState.INTERRUPTED, code=TaskCode.AGENT_KILLED, message=message, outcome=outcome)
