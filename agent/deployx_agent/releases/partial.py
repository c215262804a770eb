"""A file that is being downloaded: as much of it as is here, its hash so far, and its end.

Invariants: what becomes the artifact has the size and the hash that were asked for. A part outlives the agent: the next
one reads it again, for its hash, and goes on at its last byte. Nothing is written once ``close`` has returned, whoever
still reads.
"""

import hashlib
import os
import threading
from contextlib import suppress
from pathlib import Path

from deployx_agent.state.durable import sync_folder

_BLOCK = 1 << 20
_SYNC_BYTES = 32 << 20
"""So much may be in the system's memory alone, which a power cut takes away."""


class Closed(Exception):
    """Nobody wants it any more."""


class TooLong(Exception):
    """More was sent than there is of it."""


class Partial:
    """The part of an artifact at ``path``. Its methods block; ``write`` is called in the thread that reads."""

    def __init__(self, path: Path, sha256: str, size: int) -> None:
        self._path = path
        self.sha256 = sha256
        self._size = size
        self._lock = threading.Lock()
        self._descriptor = -1
        self._closed = False
        self._hash = hashlib.sha256()
        self._unsynced = 0
        self.have = 0
        """How many bytes of it are here."""

    @property
    def is_complete(self) -> bool:
        """Whether all of its bytes are here, right or wrong."""
        return self.have == self._size

    def open(self) -> None:
        """Find out what is here. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._path, flags, 0o600)
        digest, have = hashlib.sha256(), 0
        try:
            if os.fstat(descriptor).st_size > self._size:
                os.ftruncate(descriptor, 0)
            while not self._closed and (block := os.read(descriptor, _BLOCK)):
                digest.update(block)
                have += len(block)
        except BaseException:
            os.close(descriptor)
            raise
        with self._lock:
            if self._closed:
                os.close(descriptor)
                raise Closed
            self._descriptor, self._hash, self.have = descriptor, digest, have

    def write(self, block: bytes) -> None:
        """Add what follows. Raises Closed, TooLong, OSError."""
        with self._lock:
            self._check_open()
            if self.have + len(block) > self._size:
                raise TooLong
            view = memoryview(block)
            while view:
                written = os.write(self._descriptor, view)
                self._hash.update(view[:written])
                self.have += written
                self._unsynced += written
                view = view[written:]
            if self._unsynced >= _SYNC_BYTES:
                os.fsync(self._descriptor)
                self._unsynced = 0

    def restart(self) -> None:
        """Begin again with nothing. Raises Closed, OSError."""
        with self._lock:
            self._check_open()
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._hash, self.have, self._unsynced = hashlib.sha256(), 0, 0

    def finish(self) -> bool:
        """Whether it is what was asked for, durably; else it is removed. Raises Closed, OSError."""
        with self._lock:
            self._check_open()
            right = self.is_complete and self._hash.hexdigest() == self.sha256
            if right:
                os.fsync(self._descriptor)
        if not right:
            self.close()  # Windows removes no open file
            self._path.unlink(missing_ok=True)
        return right

    def become(self, into: Path) -> None:
        """Take its place, for good. Raises OSError."""
        self.close()
        self._path.replace(into)
        sync_folder(into.parent)

    def close(self) -> None:
        """Write no more, and keep what is here for the next time."""
        with self._lock:
            self._closed = True
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def _check_open(self) -> None:
        if self._closed:
            raise Closed


def is_whole(path: Path, sha256: str, size: int) -> bool:
    """Whether that very artifact is at ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return False
    with suppress(OSError), os.fdopen(descriptor, "rb") as file:
        return os.fstat(file.fileno()).st_size == size and hashlib.file_digest(file, "sha256").hexdigest() == sha256
    return False
