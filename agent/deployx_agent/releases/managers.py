"""The package managers that releases know, each behind the same few questions. winget and brew have their place here.

Invariant: a plan names everything that the change would touch, and what it upgrades or removes is kept as files before,
so that going back needs no repository.
"""

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deployx_agent.releases.failure import Failure, unfit
from deployx_agent.releases.programs import Programs
from deployx_agent.tasks.runner import Ending
from deployx_protocol.tasks import TaskCode, TaskState


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change of one package comes to."""

    argv: tuple[str, ...]
    """What does it."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Packages that are upgraded, downgraded or removed, and the version that is there."""
    new: tuple[str, ...] = ()
    """Packages that are not there."""
    left: tuple[str, ...] = ()
    """Those of them that were once, and have left their settings."""
    download: tuple[str, ...] = ()
    """What fetches all that it needs and changes nothing; empty if it needs nothing."""
    size: int = 0
    """Of what is fetched."""


class Manager(Protocol):
    """Of one system."""

    @property
    def cache(self) -> Path:
        """Where what is fetched goes."""

    @property
    def env(self) -> Mapping[str, str]:
        """What its programs need."""

    async def version(self, name: str) -> str:
        """What is there, out of the native database; empty if nothing is, or only half of it."""

    async def candidate(self, name: str) -> str:
        """The newest that the repositories have; empty if they have none."""

    async def refresh(self) -> None:
        """Ask the repositories what they have. What fails shows when something is missing."""

    async def plan(self, name: str, version: str) -> Plan:
        """To have this version; an empty one removes it. Raises Failure."""

    async def carry_out(self, argv: Sequence[str], name: str) -> Ending:
        """Run what a plan says, called ``name`` in the output, once nobody else holds its locks; how it ended. Raises
        Called, Failure."""

    async def keep(self, name: str, version: str, folder: Path) -> list[Path]:
        """Have that version, which is installed, as files. Raises Failure."""

    async def mend(self) -> None:
        """Finish what was broken off in the middle, as far as that goes."""

    async def back(self, files: Sequence[Path], new: Sequence[str], left: Sequence[str]) -> None:
        """Install ``files``, whatever is there now, and remove ``new``; the settings of those in ``left`` stay. Raises
        Failure."""


def manager_of(programs: Programs) -> Manager:
    """That of this machine. Raises Failure."""
    from deployx_agent.releases.apt import Apt
    from deployx_agent.releases.dnf import Dnf

    kinds: dict[str, Callable[[Programs], Manager]] = {"apt-get": Apt, "dnf": Dnf}
    for program, kind in kinds.items():
        if shutil.which(program):
            return kind(programs)
    raise unfit("This machine has neither apt nor dnf, so no package can be installed.")


def same_version(wanted: str, there: str) -> bool:
    """Whether ``there`` is what is asked for: an epoch of 0 may be left out."""
    return bool(there) and there.removeprefix("0:") == wanted.removeprefix("0:")


def inherited(*names: str) -> dict[str, str]:
    """Variables by which whoever runs the agent points a package manager at settings of its own."""
    return {name: os.environ[name] for name in names if name in os.environ}


def last_words(text: str) -> str:
    """What a program said at last, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    return " ".join(errors or lines[-1:]).rstrip(".") or "it says nothing"


async def must(run: Callable[[], Awaitable[Ending]], what: str, programs: Programs) -> None:
    """Raises Failure unless it succeeds."""
    ending = await run()
    if ending.state is not TaskState.SUCCEEDED:
        raise Failure(TaskCode.RELEASE_FAILED, f"{what} failed: {last_words(programs.said)}.")
