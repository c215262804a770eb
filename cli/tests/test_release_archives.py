"""Archives that mean harm, looked into: refused, in bounded memory and time, with nothing unpacked."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deployx_cli.release_archives import check
from deployx_protocol.checks import InvalidPayload

GB = 1 << 30
Build = Callable[[tarfile.TarFile], None]


def add(archive: tarfile.TarFile, name: str, content: bytes = b"x", **changes: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in changes.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content) if member.isfile() else None)


def tar(path: Path, *members: Build, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            member(archive)
    return path


def why(path: Path, strip: int = 0, most: int = GB) -> str:
    with pytest.raises(InvalidPayload) as caught:
        check(path, strip, most)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_good_archive_is_good(tmp_path: Path, mode: str) -> None:
    path = tar(
        tmp_path / "a",
        lambda archive: add(archive, "app", type=tarfile.DIRTYPE),
        lambda archive: add(archive, "app/" + "long" * 60, b"x" * 100_000),
        lambda archive: add(archive, "app/bin/l", type=tarfile.SYMTYPE, linkname="../x"),
        mode=mode,
    )
    check(path, 1, GB)
    assert "nothing to unpack, with so much stripped" in why(path, strip=4)
    assert "more than 1,000 bytes" in why(path, most=1_000)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../x", {}),
        ("/etc/x", {}),
        ("a/../../x", {}),
        ("l", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("l", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"}),
        ("su", {"mode": 0o4755}),
        ("tty", {"type": tarfile.CHRTYPE}),
        ("sda", {"type": tarfile.BLKTYPE}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
    ],
)
def test_members_that_mean_harm(tmp_path: Path, name: str, changes: dict[str, object]) -> None:
    path = tar(
        tmp_path / "a.tgz", lambda archive: add(archive, "ok"), lambda archive: add(archive, name, b"", **changes)
    )
    assert "in the archive" in why(path)


def claiming(size: int, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo("zeros")
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT) + content


def small_memory(run: Callable[[], str]) -> str:
    tracemalloc.start()
    try:
        said = run()
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
        return said
    finally:
        tracemalloc.stop()


def test_ten_gigabytes_of_zeros_in_a_few_bytes(tmp_path: Path) -> None:
    for name, opened in (("a.gz", gzip.open), ("a.xz", lzma.open), ("a.bz2", bz2.open)):
        with opened(tmp_path / name, "wb") as file:
            file.write(claiming(10 * GB))
        assert small_memory(lambda name=name: why(tmp_path / name)).endswith("'zeros' at the latest.")  # type: ignore[misc]
    # It says that it is small, and goes on and on: as a long name, as padding, as a description.
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        with gzip.open(tmp_path / "b.gz", "wb", compresslevel=1) as file:
            file.write(claiming(2 * GB, b"\0" * (2 << 20), kind))
        assert "A name or header" in small_memory(lambda: why(tmp_path / "b.gz"))


def test_a_zip_of_zeros(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as file:
        file.write(b"\0" * (4 << 20))
    check(path, 0, GB)
    assert "more than 1,000,000 bytes" in small_memory(lambda: why(path, most=1_000_000))
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 100)  # it says that it is small
    path.write_bytes(raw)
    assert "damaged" in small_memory(lambda: why(path, most=1_000_000))


def test_members_of_a_zip_that_mean_harm(tmp_path: Path) -> None:
    def made(name: str, content: bytes = b"x", mode: int = 0o100644) -> Path:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, content)
        return path

    assert "leads out" in why(made("../x"))
    assert "leads out" in why(made("/x"))
    assert "no place inside" in why(made("l", b"/etc/passwd", 0o120777))
    assert "link to no place" in why(made("l", b"x" * 5_000, 0o120777))
    assert "a device or a pipe" in why(made("d", b"", 0o020644))
    check(made("l", b"x", 0o120777), 0, GB)


def test_what_is_no_archive_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content in (b"", b"hello", b"\x1f\x8bxx", b"\xfd7zXZ\0x", b"BZhx", b"PK\x03\x04", b"\0" * 1024, b"\xff" * 2048):
        path.write_bytes(content)
        assert why(path)
    whole = tar(path, lambda archive: add(archive, "x", b"y" * 100_000), mode="w:xz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in why(path)
    path.write_bytes(whole[:-60] + bytes(60))
    assert why(path)
