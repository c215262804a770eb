"""What each kind of release does with a machine: how it is found, put in its place, and how what was there comes back.

Invariant of all kinds: `prepare` touches nothing that the machine uses and returns when all that `back` needs is on the
disk; `back` may be called at any time after it, any number of times, and ends with what was there before.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deployx_agent.releases.depot import Depot
from deployx_agent.releases.programs import Programs
from deployx_protocol.releases import Artifact, Manifest

Before = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """Where a release is being handled."""

    manifest: Manifest
    task_id: str
    folder: Path
    """Of all releases of this agent; what is kept goes below."""
    depot: Depot
    programs: Programs

    @property
    def mark(self) -> str:
        """In the names of what is kept for this task."""
        return self.task_id.rpartition("-")[2]

    def artifact(self, name: str) -> Artifact:
        """By its name."""
        return next(one for one in self.manifest.artifacts if one.name == name)


def make_parents(path: Path) -> None:
    """The folders above ``path`` that are not there, for everybody to enter: the agent's own umask lets nobody."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        folder.chmod(0o755)


class Kind(Protocol):
    """Its methods raise Failure and Called; what fails in `prepare` has changed nothing."""

    async def look(self) -> bool:
        """Whether it is there, as far as that shows without its own `detect`."""

    async def prepare(self, *, removing: bool) -> Before:
        """Gather what going back needs."""

    def clean(self) -> None:
        """Remove what a `prepare` that did not end has left. It blocks."""

    async def put(self, before: Before) -> None:
        """Put it in its place."""

    async def take_away(self, before: Before) -> None:
        """Remove it."""

    async def back(self, before: Before) -> None:
        """Put back what was there."""

    async def is_back(self, before: Before) -> bool:
        """Whether that is there."""

    def forget(self, before: Before) -> None:
        """What was there before is wanted no more. It blocks."""


class ScriptKind:
    """Its steps do it all."""

    async def look(self) -> bool:
        """Its `detect` says so."""
        return True

    async def prepare(self, *, removing: bool) -> Before:
        """The release to go back to is all that is needed."""
        return {}

    def clean(self) -> None:
        """There is nothing."""

    async def put(self, before: Before) -> None:
        """Its `install` does."""

    async def take_away(self, before: Before) -> None:
        """Its `uninstall` does."""

    async def back(self, before: Before) -> None:
        """Steps do."""

    async def is_back(self, before: Before) -> bool:
        """Steps say so."""
        return True

    def forget(self, before: Before) -> None:
        """There is nothing."""


def kind_of(site: Site) -> Kind:
    """For the manifest of ``site``."""
    manifest = site.manifest
    if manifest.archive:
        from deployx_agent.releases.archive import ArchiveKind

        return ArchiveKind(site, manifest.archive)
    if manifest.file:
        from deployx_agent.releases.single_file import FileKind

        return FileKind(site, manifest.file)
    if manifest.package:
        from deployx_agent.releases.package import PackageKind

        return PackageKind(site, manifest.package)
    return ScriptKind()
