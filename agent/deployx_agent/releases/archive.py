"""An archive that becomes a folder: unpacked beside the one that is there, then the two change places in one step.

Invariant: at any moment the place has the old folder or the new one. The old one stays beside it, by the name that the
new one had before, until the release after it is committed.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from deployx_agent.connection.background import in_thread
from deployx_agent.releases import exchange
from deployx_agent.releases.failure import Failure, unfit
from deployx_agent.releases.kind import Before, Site, make_parents
from deployx_agent.releases.programs import python
from deployx_agent.state.durable import sync_folder
from deployx_protocol.releases import Archive
from deployx_protocol.tasks import TaskCode, TaskState

MARKER = ".deployx-release"
_UNPACK_TIMEOUT_S = 6 * 3_600.0


class ArchiveKind:
    """An archive at ``site``."""

    def __init__(self, site: Site, archive: Archive) -> None:
        self._site = site
        self._archive = archive
        self._into = Path(archive.into)
        self._beside = self._into.with_name(f".{self._into.name}.deployx-{site.mark}")

    @property
    def _marker(self) -> str:
        artifact = self._site.artifact(self._archive.artifact)
        return json.dumps({"artifact": artifact.sha256, "strip": self._archive.strip}, sort_keys=True)

    async def look(self) -> bool:
        """The folder says itself out of which archive it came."""
        try:
            return (self._into / MARKER).read_text() == self._marker
        except (OSError, UnicodeDecodeError):
            return False

    # ------------------------------------------------------------ before

    async def prepare(self, *, removing: bool) -> Before:
        """Unpack it beside."""
        try:
            before = await in_thread(self._found, "folder")
        except OSError as error:
            raise unfit(f"{self._into} cannot be used ({error.strerror or error}).") from None
        before["kept"] = str(self._beside)
        if not removing:
            await self._unpack()
            before["new"] = _identity(self._beside)
        return before

    def _found(self) -> Before:
        into = self._into
        if into in self._site.folder.parents or self._site.folder in (into, *into.parents):
            raise unfit(f"{into} holds the agent's own state, and a release cannot take its place.")
        make_parents(into)
        self.clean()
        if into.is_symlink():
            return {"was": "link", "target": os.readlink(into)}  # noqa: PTH115 - as it is written
        if not into.exists():
            return {"was": "nothing"}
        if not into.is_dir():
            raise unfit(f"{into} is there and is no folder; move it away.")
        if into.is_mount():
            raise unfit(f"A file system is mounted at {into}; name a folder below it.")
        if not exchange.possible(into.parent, f"{self._beside.name}-try"):
            raise unfit(f"The file system of {into} cannot let two folders change places; make it a symbolic link.")
        return {"was": "folder", "old": _identity(into)}

    async def _unpack(self) -> None:
        artifact = self._site.artifact(self._archive.artifact)
        source = self._site.depot.artifact(artifact)
        if await self._site.depot.missing([artifact]):
            raise unfit("The archive is not on this machine any more.")
        argv = python(
            "deployx_agent.releases.unpack",
            *(str(source), str(self._beside), str(self._archive.strip), str(self._archive.unpacked_max_bytes)),
            self._marker,
        )
        ending = await self._site.programs.run(argv, None, self._site.folder, {}, _UNPACK_TIMEOUT_S, "unpack")
        if ending.state is not TaskState.SUCCEEDED:
            await in_thread(self.clean, "folder")
            said = " ".join(self._site.programs.said.split()) or "The archive cannot be unpacked."
            raise Failure(TaskCode.RELEASE_UNFIT, said)
        await in_thread(lambda: sync_folder(self._into.parent), "folder")

    def clean(self) -> None:
        """Whatever is beside, by this task's name, and not in use."""
        for path in (self._beside, self._new_link):
            _remove(path)

    # ------------------------------------------------------------ there and back

    async def put(self, before: Before) -> None:
        """In one step."""
        await self._in_place(lambda: self._swap(before), "put in its place")

    def _swap(self, before: Before) -> None:
        if before["was"] == "folder":
            exchange.exchange(self._beside, self._into)
        elif before["was"] == "link":
            self._point_at(self._beside.name)
        else:
            self._beside.rename(self._into)
            sync_folder(self._into.parent)

    async def take_away(self, before: Before) -> None:
        """Beside, by this task's name."""
        await self._in_place(lambda: self._away(before), "removed")

    def _away(self, before: Before) -> None:
        if before["was"] == "link":
            self._into.unlink(missing_ok=True)
        elif before["was"] == "folder" and os.path.lexists(self._into):
            self._into.rename(before["kept"])
        sync_folder(self._into.parent)

    async def back(self, before: Before) -> None:
        """Whatever of the way there was gone."""
        await self._in_place(lambda: self._restore(before), "put back")

    def _restore(self, before: Before) -> None:
        new, kept = before.get("new"), Path(before["kept"])
        now = _identity(self._into)
        if before["was"] == "folder" and now != before["old"]:
            if _identity(kept) != before["old"]:
                raise OSError(2, "the old folder is gone")
            if now is None:
                kept.rename(self._into)
            else:
                exchange.exchange(kept, self._into)
        elif before["was"] == "link" and not self._points_at(before["target"]):
            self._point_at(before["target"])
        elif before["was"] == "nothing" and now is not None and now == new:
            self._into.rename(kept)
        sync_folder(self._into.parent)
        _remove(kept)
        _remove(self._new_link)

    async def is_back(self, before: Before) -> bool:
        """By what the system knows it by, not by its name."""
        if before["was"] == "link":
            return self._points_at(before["target"])
        return _identity(self._into) == before.get("old")

    def forget(self, before: Before) -> None:
        """Remove the old folder; what a link of somebody else's led to is left alone."""
        if before["was"] == "link":
            old = self._into.parent / before["target"]
            if old.parent == self._into.parent and old.name.startswith(f".{self._into.name}.deployx-"):
                _remove(old)
        else:
            _remove(Path(before["kept"]))

    # ------------------------------------------------------------ links

    @property
    def _new_link(self) -> Path:
        return self._beside.with_name(f"{self._beside.name}-link")

    def _points_at(self, target: str) -> bool:
        return self._into.is_symlink() and os.readlink(self._into) == target  # noqa: PTH115

    def _point_at(self, target: str) -> None:
        _remove(self._new_link)
        self._new_link.symlink_to(target)
        self._new_link.replace(self._into)
        sync_folder(self._into.parent)

    async def _in_place(self, act: object, what: str) -> None:
        try:
            await in_thread(act, "folder")  # type: ignore[arg-type]
        except OSError as error:
            said = f"{self._into} cannot be {what} ({error.strerror or error})."
            raise Failure(TaskCode.RELEASE_FAILED, said) from None


def _identity(path: Path) -> int | None:
    """What its file system knows a folder by, wherever it is moved to; None if there is none. The number of the device
    is left out: it may be another one after a restart."""
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
