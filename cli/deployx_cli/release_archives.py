"""Looking into an archive before anybody signs it: read to its end, and never unpacked.

Invariants: memory is bounded whatever the archive says of itself, and so is what is read: no member, name or stream may
bring more than the release allows to be unpacked.
"""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from deployx_protocol.archive_rules import MemberKind, Members
from deployx_protocol.checks import InvalidPayload

_HEADER_MAX_BYTES = 1 << 20
"""Of a long name, or of what pax says of a member: all of it is held in memory."""
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_OVERHEAD_BYTES = 64 << 20
"""Headers and padding, beside the files."""
_PIECE_BYTES = 1 << 20
_LZMA_MEMORY_BYTES = 256 << 20
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error, OSError, NotImplementedError)


def check(path: Path, strip: int, unpacked_max_bytes: int) -> None:
    """That the archive at ``path`` can be unpacked safely. Raises InvalidPayload, and OSError if it cannot be read."""
    members = Members(strip, unpacked_max_bytes)
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        try:
            if magic.startswith(b"PK"):
                _zip(file, members)
            else:
                _tar(file, magic, members, unpacked_max_bytes)
        except InvalidPayload:
            raise
        except _DAMAGED as error:
            raise InvalidPayload(
                f"This is no tar, tar.gz, tar.bz2, tar.xz or zip, or it is damaged ({error})."
            ) from None
        except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
            raise InvalidPayload(f"The archive cannot be read ({error}).") from None
    if not members.kept:
        raise InvalidPayload("The archive has nothing to unpack" + (", with so much stripped." if strip else "."))


class _Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int = -1, /) -> bytes:
        """The next ones; none at the end."""


class _Bounded:
    """A stream of which only so much is given out."""

    def __init__(self, stream: _Readable, most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, size: int = -1) -> bytes:
        """At most a piece."""
        piece = self._stream.read(_PIECE_BYTES if size < 0 else min(size, _PIECE_BYTES))
        self._left -= len(piece)
        if self._left < 0:
            raise InvalidPayload("The archive unpacks to more than the release allows.")
        return piece


class _Member(tarfile.TarInfo):
    """A member whose long name, or description, is held in memory only if it is short."""

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _HEADERS and self.size > _HEADER_MAX_BYTES:
            raise InvalidPayload(f"A name or header in the archive has {self.size:,} bytes.")
        if self.size < 0:
            raise InvalidPayload("A member of the archive has less than no bytes.")
        return super()._proc_member(archive)  # type: ignore[misc]  # it has no public name


def _tar(file: IO[bytes], magic: bytes, members: Members, unpacked_max_bytes: int) -> None:
    with _decompressed(file, magic) as stream:
        bounded = _Bounded(stream, unpacked_max_bytes + _OVERHEAD_BYTES)
        with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Member) as archive:  # type: ignore[call-overload]
            while member := archive.next():
                archive.members = []  # else it keeps every one of them
                members.take(member.name, _kind(member), target=member.linkname, size=member.size, mode=member.mode)


def _kind(member: tarfile.TarInfo) -> MemberKind:
    if member.isdir():
        return MemberKind.FOLDER
    if member.issym():
        return MemberKind.SYMLINK
    if member.islnk():
        return MemberKind.HARDLINK
    return MemberKind.FILE if member.isfile() else MemberKind.OTHER


@contextmanager
def _decompressed(file: IO[bytes], magic: bytes) -> Iterator[_Readable]:
    if magic.startswith(b"\x1f\x8b"):
        with gzip.open(file, "rb") as stream:
            yield stream
    elif magic.startswith(b"BZh"):
        with bz2.open(file, "rb") as stream:
            yield stream
    elif magic.startswith(b"\xfd7zXZ"):
        yield _Xz(file)
    else:
        yield file


class _Xz:
    """``lzma.open`` with a bound on the memory that the archive may ask for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; none at the end."""
        while True:
            if self._decompressor.eof:
                rest = self._decompressor.unused_data or self._file.read(_PIECE_BYTES)
                if not rest.strip(b"\0"):
                    return b""
                self._decompressor = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)
                raw = rest
            else:
                raw = self._file.read(_PIECE_BYTES) if self._decompressor.needs_input else b""
                if not raw and self._decompressor.needs_input:
                    raise EOFError("it ends too early")
            piece = self._decompressor.decompress(raw, size)
            if piece:
                return piece


def _zip(file: IO[bytes], members: Members) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.flag_bits & 1:
                raise InvalidPayload(f"{member.filename[:80]!a} in the archive is encrypted.")
            mode = member.external_attr >> 16
            kind = _zip_kind(member, mode & 0o170000)
            target = ""
            if kind is MemberKind.SYMLINK:
                if member.file_size > 4_096:
                    raise InvalidPayload(f"{member.filename[:80]!a} in the archive is a link to no place.")
                target = archive.read(member).decode("utf-8", "surrogateescape")
            members.take(member.filename, kind, target=target, size=member.file_size, mode=mode)
        for member in archive.infolist():
            with archive.open(member) as stream:  # to its end, which is where its check sum is looked at
                while stream.read(_PIECE_BYTES):
                    pass


def _zip_kind(member: zipfile.ZipInfo, kind: int) -> MemberKind:
    if member.is_dir():
        return MemberKind.FOLDER
    return {
        0: MemberKind.FILE,
        0o100000: MemberKind.FILE,
        0o040000: MemberKind.FOLDER,
        0o120000: MemberKind.SYMLINK,
    }.get(kind, MemberKind.OTHER)
