"""What is in an archive (tar, however compressed, and zip), one entry after the other, in one form.

Invariant: what ``archive_rules`` does not take is no entry: the archive is refused.
"""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from deployx_protocol.archive_rules import NAME_MAX, MemberKind, Members
from deployx_protocol.checks import InvalidPayload

READING = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, RuntimeError),
)
"""What the standard library raises for archives that are damaged, encrypted, or of a kind it does not know."""


class BadArchive(Exception):
    """It is not unpacked; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``parts`` is its path, stripped. ``content`` can be asked for until the next entry is."""

    parts: tuple[str, ...]
    kind: MemberKind
    mode: int
    target: str
    """Of a link as it is written, of a hard link the stripped path of what it names."""
    content: Callable[[], Any]


def entries(archive: Path, strip: int, max_bytes: int) -> Iterator[Entry]:
    """Those that are left when ``strip`` leading folders are dropped. Raises BadArchive, OSError."""
    members = Members(strip, max_bytes)
    try:
        with archive.open("rb") as file:
            is_zip = zipfile.is_zipfile(file)
        yield from _zip(archive, members) if is_zip else _tar(archive, members)
    except InvalidPayload as error:
        raise BadArchive(str(error)) from None
    except READING as error:
        raise BadArchive(f"The archive cannot be read ({error}).") from None


def _tar(archive: Path, members: Members) -> Iterator[Entry]:
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # or it remembers every one
            if member.issym():
                kind = MemberKind.SYMLINK
            elif member.islnk():
                kind = MemberKind.HARDLINK
            elif member.isdir():
                kind = MemberKind.FOLDER
            else:
                kind = MemberKind.FILE if member.isreg() else MemberKind.OTHER
            size = member.size if kind is MemberKind.FILE else 0
            content = partial(_required, tar, member)
            yield from _taken(members, member.name, kind, member.mode, member.linkname, size, content)


def _zip(archive: Path, members: Members) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as found:
        for member in found.infolist():
            mode, target = member.external_attr >> 16, ""
            form = stat.S_IFMT(mode)
            if member.is_dir():
                kind = MemberKind.FOLDER
            elif form == stat.S_IFLNK:
                kind = MemberKind.SYMLINK
                if member.file_size > NAME_MAX:
                    raise BadArchive(f"In the archive the link {member.filename[:100]!r} is too long.")
                target = found.read(member).decode("utf-8", "surrogateescape")
            else:
                kind = MemberKind.FILE if form in (0, stat.S_IFREG) else MemberKind.OTHER
            mode = mode or (0o755 if kind is MemberKind.FOLDER else 0o644)
            content = partial(found.open, member)
            yield from _taken(members, member.filename, kind, mode, target, member.file_size, content)


def _taken(
    members: Members,
    name: str,
    kind: MemberKind,
    mode: int,
    target: str,
    size: int,
    content: Callable[[], IO[bytes]],
) -> Iterator[Entry]:
    """The entry, unless all of its name is stripped. Raises InvalidPayload."""
    path = members.take(name, kind, target=target, size=size, mode=mode)
    if path is not None:
        if kind is MemberKind.HARDLINK:
            target = members.inside(target)
        yield Entry(tuple(path.split("/")), kind, stat.S_IMODE(mode) & 0o777, target, content)


def _required(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise BadArchive("The archive has a file without content.")
    return content
