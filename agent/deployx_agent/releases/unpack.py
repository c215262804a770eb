"""Unpacks an archive, in a process of its own: what it contains is the word of strangers.

`python -m deployx_agent.releases.unpack ARCHIVE FOLDER STRIP MAX_BYTES MARKER`. All of it is read once and judged
before the first byte is written; then it is unpacked, and on the disk when this ends with 0. Anything else: a sentence
on stderr and 1. Invariant: nothing is written outside FOLDER, which is made here, and no name or link in it leads out.
"""

import ctypes
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from deployx_agent.releases.archive_entries import READING, BadArchive, Entry, entries
from deployx_protocol.archive_rules import MemberKind

DISK_RESERVE_BYTES: Final = 64 << 20
MEMORY_MAX_BYTES: Final = 1 << 29
_BLOCK: Final = 1 << 20
_EACH_BYTES: Final = 4_096
"""So much of the disk a file takes at least."""


class _Limits:
    """Counts what is really there, each pass anew; what an archive says of itself has been counted by then."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.bytes = 0

    def block(self, size: int) -> None:
        self.bytes += size
        if self.bytes > self._max_bytes:
            raise BadArchive(f"The archive unpacks to more than the {self._max_bytes:,} bytes that it may have.")


def unpack(archive: Path, folder: Path, strip: int, max_bytes: int, marker: str) -> None:
    """Raises BadArchive, OSError."""
    wanted = _judge(archive, strip, max_bytes)
    free = shutil.disk_usage(folder.parent).free
    if free < wanted + DISK_RESERVE_BYTES:
        raise BadArchive(
            f"The disk of {folder.parent} has {free >> 20} MiB left, and the archive unpacks to {wanted >> 20} MiB."
        )
    folder.mkdir(mode=0o755)
    links: list[tuple[Path, str]] = []
    limits = _Limits(max_bytes)
    for entry in entries(archive, strip, max_bytes):
        _put(folder, entry, limits, links)
    for path, target in links:  # last: nothing is ever written through one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    _stay_inside(folder, [path for path, _ in links])
    descriptor = os.open(folder / ".deployx-release", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "w") as file:
        file.write(marker)
    _sync(folder)


def _judge(archive: Path, strip: int, max_bytes: int) -> int:
    """How much room it takes. Raises BadArchive."""
    limits, kinds = _Limits(max_bytes), dict[str, MemberKind]()
    for entry in entries(archive, strip, max_bytes):
        for _ in _blocks(entry, limits):
            pass
        key = "/".join(entry.parts)
        before = kinds.get(key)
        if before is not None and not (before is entry.kind is MemberKind.FOLDER):
            raise BadArchive(f"The archive has {key[:100]!r} twice.")
        kinds[key] = entry.kind
    for key in kinds:
        parent = key
        while (parent := parent.rpartition("/")[0]) != "":
            if kinds.get(parent, MemberKind.FOLDER) is not MemberKind.FOLDER:
                raise BadArchive(f"In the archive {key[:100]!r} is below something that is no folder.")
    if not kinds:
        raise BadArchive("The archive is empty, or all of it was stripped.")
    return limits.bytes + len(kinds) * _EACH_BYTES


def _put(folder: Path, entry: Entry, limits: _Limits, links: list[tuple[Path, str]]) -> None:
    path = folder.joinpath(*entry.parts)
    if entry.kind is MemberKind.FOLDER:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(entry.mode | 0o700)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind is MemberKind.SYMLINK:
        links.append((path, entry.target))
    elif entry.kind is MemberKind.HARDLINK:
        source = folder.joinpath(*entry.target.split("/"))
        if source.is_symlink() or not source.is_file():
            raise BadArchive(f"In the archive {'/'.join(entry.parts)[:100]!r} is a link to what is no file before it.")
        os.link(source, path, follow_symlinks=False)
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for block in _blocks(entry, limits):
                file.write(block)
            os.fchmod(file.fileno(), entry.mode)


def _blocks(entry: Entry, limits: _Limits) -> Iterator[bytes]:
    source: BinaryIO | None = entry.content() if entry.kind is MemberKind.FILE else None
    if source is None:
        return
    while block := _read(source):
        limits.block(len(block))
        yield block


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(_BLOCK)
    except READING as error:
        raise BadArchive(f"The archive cannot be read ({error}).") from None


def _stay_inside(folder: Path, links: list[Path]) -> None:
    root = os.path.realpath(folder)
    for path in links:
        if os.path.commonpath([root, os.path.realpath(path)]) != root:  # a link by way of another one
            raise BadArchive(f"In the archive {path.name[:100]!r} is a link that leads out of it.")


def _sync(folder: Path) -> None:
    """All of the file system it is on: for many files that is one call instead of one for each."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if call is None:
            os.sync()
        elif call(descriptor):
            raise OSError(ctypes.get_errno(), "the disk does not take it")
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> int:
    """The exit code."""
    archive, folder, strip, max_bytes, marker = arguments
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    os.umask(0o022)
    try:
        unpack(Path(archive), Path(folder), int(strip), int(max_bytes), marker)
    except BadArchive as why:
        print(why, file=sys.stderr)  # noqa: T201
        return 1
    except MemoryError:
        print("The archive needs more memory to read than it may have.", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        print(f"The archive cannot be unpacked ({error.strerror or error}).", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
