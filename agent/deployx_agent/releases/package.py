"""A package of the machine's own package manager.

Invariant: before anything is changed, the files of every package that would be upgraded or removed are kept, so the way
back needs no repository and no server.
"""

import shutil
from pathlib import Path

from deployx_agent.connection.background import in_thread
from deployx_agent.releases.failure import Failure, unfit
from deployx_agent.releases.kind import Before, Site
from deployx_agent.releases.managers import Manager, Plan, last_words, manager_of, same_version
from deployx_agent.state.durable import sync_file, sync_folder
from deployx_protocol.releases import Package, PackageState
from deployx_protocol.tasks import TaskCode, TaskState

_UNPACKED = 4
"""A package takes about so many times its size, unpacked and beside what is there."""


class PackageKind:
    """A package at ``site``."""

    def __init__(self, site: Site, package: Package) -> None:
        self._site = site
        self._package = package
        self._kept = site.folder / "kept" / site.mark
        self._found: Manager | None = None
        self._plan: Plan | None = None

    @property
    def _manager(self) -> Manager:
        self._found = self._found or manager_of(self._site.programs)
        return self._found

    async def look(self) -> bool:
        """In the native database; for the latest, in the repositories as well."""
        name, wanted = self._package.name, self._package.state
        if wanted is PackageState.LATEST:
            await self._manager.refresh()
        there = await self._manager.version(name)
        if wanted is PackageState.ABSENT:
            return not there
        if wanted is PackageState.VERSION:
            return same_version(self._package.version, there)
        if wanted is PackageState.LATEST:
            return bool(there) and there == await self._manager.candidate(name)
        return bool(there)

    # ------------------------------------------------------------ before

    async def prepare(self, *, removing: bool) -> Before:
        """Plan it, fetch what it needs, keep what it takes away."""
        manager, name = self._manager, self._package.name
        await in_thread(self.clean, "package")
        version = ""
        if not removing and self._package.state is not PackageState.ABSENT:
            await manager.refresh()
            version = self._package.version or await manager.candidate(name)
            if not version:
                raise unfit(f"The repositories of this machine have no package {name}.")
        self._plan = plan = await manager.plan(name, version)
        self._site.depot.check_room(manager.cache, plan.size * _UNPACKED)
        kept: dict[str, list[str]] = {}
        for one, there in sorted(plan.replaced.items()):
            folder = self._kept / one.replace(":", "_")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = await manager.keep(one, there, folder)
            await in_thread(lambda files=files: _sync(files), "package")  # type: ignore[misc]
            kept[one] = [str(file) for file in files]
        if plan.download:
            ending = await manager.carry_out(plan.download, "download")
            if ending.state is not TaskState.SUCCEEDED:
                said = f"The package cannot be fetched: {last_words(self._site.programs.said)}."
                raise Failure(TaskCode.RELEASE_UNAVAILABLE, said)
        return {
            "argv": list(plan.argv),
            "replaced": plan.replaced,
            "new": list(plan.new),
            "left": list(plan.left),
            "files": kept,
            "folder": str(self._kept),
        }

    def clean(self) -> None:
        """What was kept."""
        shutil.rmtree(self._kept, ignore_errors=True)

    # ------------------------------------------------------------ there and back

    async def put(self, before: Before) -> None:
        """As it was planned."""
        await self._follow(before)

    async def take_away(self, before: Before) -> None:
        """As it was planned."""
        await self._follow(before)

    async def _follow(self, before: Before) -> None:
        argv = before["argv"]
        ending = await self._manager.carry_out(argv, argv[0])
        if ending.state is not TaskState.SUCCEEDED:
            said = f"{argv[0]} failed: {last_words(self._site.programs.said)}."
            raise Failure(TaskCode.RELEASE_FAILED, said)

    async def back(self, before: Before) -> None:
        """Whatever state it is in. Where dpkg or rpm was ended in the middle, the old version over it is the quickest
        way out: what that was about to run need not be run first, for it may be what hangs."""
        try:
            await self._replace(before)
        except Failure:
            await self._manager.mend()
            await self._replace(before)
        await self._manager.mend()

    async def _replace(self, before: Before) -> None:
        manager = self._manager
        wrong = [name for name, there in before["replaced"].items() if await manager.version(name) != there]
        files = [Path(file) for name in wrong for file in before["files"][name]]
        if gone := [file.name for file in files if not file.exists()]:
            raise Failure(TaskCode.RELEASE_FAILED, f"What was kept of {', '.join(gone)} is gone.")
        await manager.back(files, before["new"], before["left"])

    async def is_back(self, before: Before) -> bool:
        """Every package that was touched."""
        for name, version in before["replaced"].items():
            if await self._manager.version(name) != version:
                return False
        return not [name for name in before["new"] if await self._manager.version(name)]

    def forget(self, before: Before) -> None:
        """The files."""
        shutil.rmtree(before["folder"], ignore_errors=True)


def _sync(files: list[Path]) -> None:
    for file in files:
        sync_file(file)
        sync_folder(file.parent)
        sync_folder(file.parent.parent)
