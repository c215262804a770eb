"""What is in an archive (tar, however compressed, and zip), one entry after the other, in one form.

Invariant: an entry that leads out of the archive, or is neither file, folder nor link, is none: the archive is refused.
"""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

_NAME_MAX: Final = 4_096
_RIGHTS: Final = stat.S_ISUID | stat.S_ISGID
READING = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, RuntimeError),
)
"""What the standard library raises for archives that are damaged, encrypted, or of a kind it does not know."""


class BadArchive(Exception):
    """It is not unpacked; the sentence says why."""


class Kind(Enum):
    """What an entry becomes."""

    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    HARD_LINK = auto()


@dataclass(frozen=True, slots=True)
class Entry:
    """``parts`` is its path, stripped. ``content`` can be asked for until the next entry is."""

    parts: tuple[str, ...]
    kind: Kind
    mode: int
    target: str
    """Of a link as it is written, of a hard link the stripped path of what it names."""
    content: Callable[[], Any]


def entries(archive: Path, strip: int) -> Iterator[Entry]:
    """Those that are left when ``strip`` leading folders are dropped. Raises BadArchive, OSError."""
    try:
        with archive.open("rb") as file:
            is_zip = zipfile.is_zipfile(file)
        yield from _zip(archive, strip) if is_zip else _tar(archive, strip)
    except READING as error:
        raise BadArchive(f"The archive cannot be read ({error}).") from None


def _tar(archive: Path, strip: int) -> Iterator[Entry]:
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # or it remembers every one
            parts = _parts(member.name, strip)
            if member.issym():
                kind, target = Kind.LINK, member.linkname
            elif member.islnk():
                kind, target = Kind.HARD_LINK, "/".join(_parts(member.linkname, strip))
            elif member.isdir():
                kind, target = Kind.FOLDER, ""
            elif member.isreg():
                kind, target = Kind.FILE, ""
            else:
                raise BadArchive(f"The archive has {member.name[:100]!r}, which is neither file, folder nor link.")
            if parts:
                yield _entry(parts, kind, member.mode, target, partial(_required, tar, member))


def _zip(archive: Path, strip: int) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as found:
        for member in found.infolist():
            parts = _parts(member.filename, strip)
            mode = member.external_attr >> 16
            form, target = stat.S_IFMT(mode), ""
            if member.is_dir():
                kind = Kind.FOLDER
            elif form == stat.S_IFLNK:
                kind = Kind.LINK
                if member.file_size > _NAME_MAX:
                    raise BadArchive(f"In the archive the link {member.filename[:100]!r} is too long.")
                target = found.read(member).decode("utf-8", "surrogateescape")
            elif form in (0, stat.S_IFREG):
                kind = Kind.FILE
            else:
                raise BadArchive(f"The archive has {member.filename[:100]!r}, which is neither file, folder nor link.")
            mode = mode or (0o755 if kind is Kind.FOLDER else 0o644)
            if parts:
                yield _entry(parts, kind, mode, target, partial(found.open, member))


def _entry(parts: tuple[str, ...], kind: Kind, mode: int, target: str, content: Callable[[], IO[bytes]]) -> Entry:
    name = "/".join(parts)
    if kind in (Kind.FILE, Kind.FOLDER) and mode & _RIGHTS:
        raise BadArchive(f"In the archive {name[:100]!r} would have the rights of its owner or group (setuid, setgid).")
    if kind is Kind.LINK:
        _check_link(parts, target)
    if kind is Kind.HARD_LINK and not target:
        raise BadArchive(f"In the archive {name[:100]!r} is a link to what was stripped.")
    return Entry(parts, kind, stat.S_IMODE(mode) & 0o777, target, content)


def _parts(name: str, strip: int) -> tuple[str, ...]:
    """The path of an entry. Raises BadArchive."""
    if "\0" in name or len(name) > _NAME_MAX:
        raise BadArchive(f"The archive has a name that cannot be: {name[:100]!r}.")
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise BadArchive(f"The archive has {name[:100]!r}, which is an absolute name or one of another system.")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadArchive(f"The archive has {name[:100]!r}, which leads out of it.")
    return tuple(parts[strip:])


def _check_link(parts: tuple[str, ...], target: str) -> None:
    depth = len(parts) - 1
    bad = not target or "\0" in target or target.startswith("/") or len(target) > _NAME_MAX
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        bad = bad or depth < 0
    if bad:
        raise BadArchive(f"In the archive {'/'.join(parts)[:100]!r} is a link that leads out of it.")


def _required(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise BadArchive("The archive has a file without content.")
    return content
