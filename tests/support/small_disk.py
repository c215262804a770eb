"""A disk that a test can fill: a file system of a few MiB in memory, which root alone may mount, or a limited process.

Invariant: what is mounted is gone when the block ends, whatever is still open on it.
"""

import contextlib
import errno
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

_CHUNK = b"\0" * 4096


class SmallDisk(Protocol):
    """Something that runs out of room."""

    def fill(self) -> None:
        """From now on there is no room."""

    def empty(self) -> None:
        """There is room again."""


class MountedDisk:
    """A file system of its own at ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Write until nothing more fits."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_CHUNK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        """Remove what ``fill`` wrote."""
        self._ballast.unlink()


class LimitedProcess:
    """The process may not write beyond what its largest file has now; needs no root."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._folder = folder
        _, self._hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """Forbid every file of the process to grow beyond its write-ahead log's size."""
        [log] = self._folder.glob("*-wal")
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (log.stat().st_size, self._hard))

    def empty(self) -> None:
        """Lift the limit."""
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (self._hard, self._hard))


@contextlib.contextmanager
def mounted(size_mib: int) -> Iterator[MountedDisk]:
    """A new, empty file system that everyone may write to."""
    folder = Path(tempfile.mkdtemp(prefix="deployx-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0777", "tmpfs", folder], check=True)
    try:
        yield MountedDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()
