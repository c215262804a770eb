"""One file: written beside its place, synced, and renamed over what is there.

Invariant: at any moment the place has the old file or the new one, each with its own mode and owner. The old one is
kept in the agent's state until the release after it is committed.
"""

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from deployx_agent.connection.background import in_thread
from deployx_agent.releases.failure import Failure, unfit
from deployx_agent.releases.kind import Before, Site, make_parents
from deployx_agent.state.durable import sync_file, sync_folder
from deployx_protocol.releases import File
from deployx_protocol.tasks import TaskCode


class FileKind:
    """A file at ``site``."""

    def __init__(self, site: Site, file: File) -> None:
        self._site = site
        self._file = file
        self._path = Path(file.path)
        self._kept = site.folder / "kept" / site.mark
        self._new = self._path.with_name(f".{self._path.name}.deployx-{site.mark}")

    async def look(self) -> bool:
        """Its content, its mode and, where the release names one, its owner."""
        return await in_thread(self._is_there, "file")

    def _is_there(self) -> bool:
        artifact = self._site.artifact(self._file.artifact)
        try:
            found = self._path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != artifact.size:
                return False
            owned = not self._file.owner or (found.st_uid, found.st_gid) == self._owner()
            right = stat.S_IMODE(found.st_mode) == int(self._file.mode, 8) and owned
            return right and _sha256(self._path) == artifact.sha256
        except (OSError, Failure):
            return False

    # ------------------------------------------------------------ before

    async def prepare(self, *, removing: bool) -> Before:
        """Copy what is there."""
        try:
            return await in_thread(lambda: self._found(removing=removing), "file")
        except OSError as error:
            raise unfit(f"{self._path} cannot be used ({error.strerror or error}).") from None

    def _found(self, *, removing: bool) -> Before:
        make_parents(self._path)
        self.clean()
        if not removing:
            self._owner()
            self._lay_beside()
        if self._path.is_symlink():
            return {"was": "link", "target": os.readlink(self._path)}  # noqa: PTH115 - as it is written
        if not os.path.lexists(self._path):
            return {"was": "nothing"}
        found = self._path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise unfit(f"{self._path} is there and is no file; move it away.")
        self._site.depot.check_room(self._site.folder, found.st_size)
        self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(self._path, self._kept)
        shutil.copystat(self._path, self._kept)
        os.chown(self._kept, found.st_uid, found.st_gid)
        self._kept.chmod(stat.S_IMODE(found.st_mode))  # changing the owner takes bits away
        _sync(self._kept)
        return {"was": "file", "kept": str(self._kept), "sha256": _sha256(self._kept), "size": found.st_size}

    def _lay_beside(self) -> None:
        artifact = self._site.artifact(self._file.artifact)
        source = self._site.depot.artifact(artifact)
        self._site.depot.check_room(self._path.parent, artifact.size)
        _copy(source, self._new)
        if _sha256(self._new) != artifact.sha256:
            raise unfit("The file is not on this machine any more.")
        os.chown(self._new, *self._owner())
        self._new.chmod(int(self._file.mode, 8))
        _sync(self._new)

    def _owner(self) -> tuple[int, int]:
        """Whose it becomes: the agent's own, if the release names nobody. Raises Failure."""
        if not self._file.owner:
            return os.geteuid(), os.getegid()
        import grp
        import pwd

        user, _, group = self._file.owner.partition(":")
        try:
            entry = pwd.getpwnam(user)
            return entry.pw_uid, grp.getgrnam(group).gr_gid if group else entry.pw_gid
        except KeyError:
            raise unfit(f"There is no {self._file.owner!r} on this machine to own {self._path}.") from None

    def clean(self) -> None:
        """Copies of this task's name."""
        for path in (self._new, self._kept):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    # ------------------------------------------------------------ there and back

    async def put(self, before: Before) -> None:
        """In one step."""
        await self._do(lambda: self._new.replace(self._path), "written")

    async def take_away(self, before: Before) -> None:
        """In one step."""
        await self._do(lambda: self._path.unlink(missing_ok=True), "removed")

    async def back(self, before: Before) -> None:
        """From the copy, in one step."""
        await self._do(lambda: self._restore(before), "put back")

    def _restore(self, before: Before) -> None:
        self._new.unlink(missing_ok=True)
        if before["was"] == "nothing":
            self._path.unlink(missing_ok=True)
        elif before["was"] == "link":
            self._new.symlink_to(before["target"])
            self._new.replace(self._path)
        else:
            kept = Path(before["kept"])
            found = kept.stat()
            if found.st_size != before["size"] or _sha256(kept) != before["sha256"]:
                raise OSError(5, "what was kept of it is damaged")
            _copy(kept, self._new)
            shutil.copystat(kept, self._new)
            os.chown(self._new, found.st_uid, found.st_gid)
            self._new.chmod(stat.S_IMODE(found.st_mode))
            _sync(self._new)
            self._new.replace(self._path)

    async def is_back(self, before: Before) -> bool:
        """By its content."""

        def look() -> bool:
            if before["was"] == "link":
                return self._path.is_symlink() and os.readlink(self._path) == before["target"]  # noqa: PTH115
            if before["was"] == "nothing":
                return not os.path.lexists(self._path)
            try:
                return not self._path.is_symlink() and _sha256(self._path) == before["sha256"]
            except OSError:
                return False

        return await in_thread(look, "file")

    def forget(self, before: Before) -> None:
        """The copy."""
        if kept := before.get("kept"):
            Path(kept).unlink(missing_ok=True)

    async def _do(self, act: object, what: str) -> None:
        def durably() -> None:
            act()  # type: ignore[operator]
            sync_folder(self._path.parent)

        try:
            await in_thread(durably, "file")
        except OSError as error:
            said = f"{self._path} cannot be {what} ({error.strerror or error})."
            raise Failure(TaskCode.RELEASE_FAILED, said) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, into: Path) -> None:
    """To a name that was free: in a folder that others may write to, one of them could put a link there."""
    descriptor = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with source.open("rb") as read, os.fdopen(descriptor, "wb") as write:
        shutil.copyfileobj(read, write, 1 << 20)


def _sync(path: Path) -> None:
    sync_file(path)
    sync_folder(path.parent)
