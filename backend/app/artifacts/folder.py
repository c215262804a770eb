"""The store in a folder: ``uploads/<id>`` while they come, then ``<two digits>/<sha256>.<id>``.

Invariants: a file in its place is whole and was on the disk before it got its name; a power cut leaves the part of an
upload that was said to be saved, or more. Every path is made of names that were checked here. Nothing blocks the loop.
"""

import asyncio
import errno
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from app.artifacts.store import READ_BYTES, SAVED_S, Missing, Saved, WrongHash, no_room
from app.errors import OutOfSpace, Unavailable

T = TypeVar("T")
UPLOADS = "uploads"
WRITE_BYTES = 1 << 20
SYNC_BYTES = 32 << 20
"""So much of an upload has to be sent again after a crash, at most."""
_THREADS = 8
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLACE = re.compile(rf"([0-9a-f]{{2}})/\1[0-9a-f]{{62}}\.{_ID.pattern}")


class FolderStore:
    """The store below ``root``, which is made when it is first needed. A group may read it: X-Accel needs that."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = ThreadPoolExecutor(_THREADS, "artifacts")

    async def receive(self, upload_id: str, offset: int, pieces: AsyncIterator[bytes], saved: Saved) -> None:
        """See ``Store``."""
        file = await self._run(lambda: _open_at(self._upload(upload_id), offset))
        part, now = _Part(file, offset), asyncio.get_running_loop().time
        due = now() + SAVED_S
        try:
            try:
                async for piece in pieces:
                    if part.hold(piece) >= WRITE_BYTES or now() >= due:
                        await self._run(part.write)
                        if part.at - part.synced >= SYNC_BYTES or now() >= due:
                            await self._run(part.end)
                            await saved(part.synced)
                            due = now() + SAVED_S
            except Exception:
                await self._run(part.end)
                await saved(part.synced)
                raise
            await self._run(part.end)
            await saved(part.synced)
        except OutOfSpace:
            await self._run(part.forget_rest)
            await saved(part.synced)
            raise
        finally:
            os.close(file)

    async def finish(self, upload_id: str, sha256: str, size: int, place: str) -> None:
        """See ``Store``."""
        await self._run(lambda: self._finish(self._upload(upload_id), sha256, size, self._place(place)))

    async def discard(self, upload_id: str) -> None:
        """See ``Store``."""
        await self._run(lambda: self._upload(upload_id).unlink(missing_ok=True))

    async def size(self, place: str) -> int | None:
        """See ``Store``."""
        return await self._run(lambda: _size(self._place(place)))

    async def read(self, place: str, start: int, end: int) -> AsyncGenerator[bytes]:
        """See ``Store``."""
        file = await self._run(lambda: _open(self._place(place)))
        try:
            while start < end:
                data = await self._run(partial(os.pread, file, min(READ_BYTES, end - start), start))
                if not data:
                    raise Missing
                yield data
                start += len(data)
        finally:
            os.close(file)

    def path(self, place: str) -> Path | None:
        """See ``Store``."""
        return self._place(place)

    async def link(self, place: str, expires_s: int) -> str | None:
        """There is none."""
        return None

    async def delete(self, place: str) -> None:
        """See ``Store``."""
        await self._run(lambda: self._place(place).unlink(missing_ok=True))

    async def places(self, before: datetime) -> AsyncGenerator[str]:
        """See ``Store``."""
        for folder in await self._run(lambda: sorted(_folders(self._root))):
            for path in await self._run(partial(_older, folder, before)):
                if _PLACE.fullmatch(place := f"{folder.name}/{path.name}"):
                    yield place

    async def unfinished(self, before: datetime) -> AsyncGenerator[str]:
        """See ``Store``."""
        for path in await self._run(partial(_older, self._root / UPLOADS, before)):
            if _ID.fullmatch(path.name):
                yield path.name

    async def room(self) -> int | None:
        """See ``Store``."""
        return await self._run(self._room)

    def close(self) -> None:
        """See ``Store``."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            if error.errno in _FULL:
                raise no_room() from error
            text = f"The folder for artifacts cannot be used: {error.strerror or error}."
            raise Unavailable(text, retry_after_s=5) from error

    def _upload(self, upload_id: str) -> Path:
        if not _ID.fullmatch(upload_id):
            raise ValueError("no id of an upload")
        return self._root / UPLOADS / upload_id

    def _place(self, place: str) -> Path:
        if not _PLACE.fullmatch(place):
            raise ValueError("no place of an artifact")
        return self._root / place

    def _finish(self, part: Path, sha256: str, size: int, whole: Path) -> None:
        if _size(part) != size:
            if _size(whole) != size:
                raise Missing
            os.utime(whole)  # it is young again for whoever sweeps
            return
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                part.unlink(missing_ok=True)
                raise WrongHash(sha256, found)
            os.utime(file.fileno() if os.utime in os.supports_fd else part)
            os.fsync(file.fileno())
        _make(whole.parent)
        part.replace(whole)
        _sync_folder(whole.parent)

    def _room(self) -> int:
        folder = self._root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


class _Part:
    """What is being written. But for ``hold`` its methods block."""

    def __init__(self, file: int, at: int) -> None:
        self._file = file
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.at = self.synced = at

    def hold(self, piece: bytes) -> int:
        """Keep in memory; how many bytes are held."""
        self._held.append(piece)
        self._held_bytes += len(piece)
        return self._held_bytes

    def write(self) -> None:
        """Write what is held. Raises OSError, having counted what was written."""
        view = memoryview(b"".join(self._held))
        self._held, self._held_bytes = [], 0
        while view:
            written = os.write(self._file, view)
            self.at += written
            view = view[written:]

    def sync(self) -> None:
        """Make durable what was written."""
        os.fsync(self._file)
        self.synced = self.at

    def end(self) -> None:
        """Both."""
        self.write()
        if self.at > self.synced:
            self.sync()

    def forget_rest(self) -> None:
        """The disk was full: keep what it took."""
        os.ftruncate(self._file, self.at)
        self.sync()


def _open_at(path: Path, offset: int) -> int:
    _make(path.parent)
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o640)
    try:
        if os.fstat(file).st_size < offset:
            raise Missing
        os.ftruncate(file, offset)
        os.lseek(file, offset, os.SEEK_SET)
        if not offset:
            _sync_folder(path.parent)
        return file
    except BaseException:
        os.close(file)
        raise


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise Missing from None


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        with suppress(OSError):
            _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _folders(root: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from (path for path in root.iterdir() if len(path.name) == 2 and path.is_dir())


def _older(folder: Path, before: datetime) -> list[Path]:
    limit, found = before.timestamp(), []
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < limit:
                    found.append(path)
    return found
