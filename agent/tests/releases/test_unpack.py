"""Archives of strangers: nothing leaves the folder, nothing is too large, and what is refused leaves nothing."""

import contextlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployx_agent.releases.archive_entries import BadArchive
from deployx_agent.releases.unpack import main, unpack

Add = Callable[[tarfile.TarFile], None]


def file(name: str, body: bytes = b"x", mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "") -> Add:
    """A member of a tar."""

    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.linkname = kind, mode, link
        member.size = len(body) if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(body))

    return add


def link(name: str, target: str) -> Add:
    return file(name, kind=tarfile.SYMTYPE, link=target)


def tar(path: Path, *members: Add, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as found:  # type: ignore[call-overload]
        for member in members:
            member(found)
    return path


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is on the disk is for other tests: a sync takes long where many write."""
    monkeypatch.setattr("deployx_agent.releases.unpack._sync", lambda _: None)


def tried(archive: Path, strip: int = 0, max_bytes: int = 1 << 20) -> Path:
    """Where it was unpacked."""
    into = archive.parent / "in" / "to"
    into.parent.mkdir(exist_ok=True)
    unpack(archive, into, strip, max_bytes, "marker")
    return into


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_tar_of_each_kind(tmp_path: Path, mode: str) -> None:
    members = (
        file("app/run", b"#!", 0o755),
        file("app/lib/one", b"1"),
        link("app/current", "lib/one"),
        file("app/hard", kind=tarfile.LNKTYPE, link="app/lib/one"),
        file("app/empty", kind=tarfile.DIRTYPE, mode=0o700),
    )
    into = tried(tar(tmp_path / "a", *members, mode=mode), strip=1)
    assert (into / "run").stat().st_mode & 0o777 == 0o755
    assert (into / "current").read_text() == (into / "hard").read_text() == "1"
    assert (into / "empty").is_dir()
    assert (into / ".deployx-release").read_text() == "marker"


def test_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as found:
        run = zipfile.ZipInfo("app/run")
        run.external_attr = 0o100755 << 16
        found.writestr(run, "#!")
        found.writestr("app/plain", "1")
        found.mkdir("app/empty")
        symbolic = zipfile.ZipInfo("app/current")
        symbolic.external_attr = (stat.S_IFLNK | 0o777) << 16
        found.writestr(symbolic, "plain")
    into = tried(tmp_path / "a.zip", strip=1)
    assert (into / "run").stat().st_mode & 0o777 == 0o755
    assert (into / "plain").stat().st_mode & 0o777 == 0o600
    assert (into / "current").read_text() == "1"


BAD = {
    "parent": [file("../out")],
    "parent within": [file("a/../../out")],
    "absolute": [file("/etc/out")],
    "backslash": [file("..\\out")],
    "drive": [file("C:out")],
    "link out": [link("a", "../out")],
    "absolute link": [link("a", "/etc")],
    "link by link": [link("a/b/c/up", "../../.."), link("out", "a/b/c/up/../x")],
    "link around a link": [link("l", "."), link("a", "l/..")],
    "through a link": [file("d/x"), link("a", "d"), file("a/y")],
    "through a file": [file("a"), file("a/y")],
    "twice": [file("a"), file("a")],
    "file then link": [file("a"), link("a", "b")],
    "hard link out": [file("a", kind=tarfile.LNKTYPE, link="../../etc/passwd")],
    "hard link to nothing": [file("a", kind=tarfile.LNKTYPE, link="b")],
    "hard link to a link": [file("t"), link("l", "t"), file("a", kind=tarfile.LNKTYPE, link="l")],
    "device": [file("a", kind=tarfile.CHRTYPE)],
    "fifo": [file("a", kind=tarfile.FIFOTYPE)],
    "setuid": [file("a", mode=0o4755)],
    "setgid folder": [file("a", kind=tarfile.DIRTYPE, mode=0o2755)],
    "too large": [file("a", bytes(2 << 20))],
    "nothing": [],
}


@pytest.mark.parametrize("members", BAD.values(), ids=BAD)
def test_threat_17_what_is_refused(tmp_path: Path, members: list[Add]) -> None:
    archive = tar(tmp_path / "a", *members)
    with pytest.raises(BadArchive, match=r"\.$"):
        tried(archive)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "in" / "out").exists()


@pytest.mark.parametrize("body", [b"", b"no archive", b"\x1f\x8b" + bytes(50), b"PK\x03\x04" + bytes(50)])
def test_what_is_no_archive(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a").write_bytes(body)
    with pytest.raises(BadArchive):
        tried(tmp_path / "a")


def test_one_that_breaks_off(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a", file("a", os.urandom(100_000)))
    archive.write_bytes(archive.read_bytes()[:-5_000])
    with pytest.raises(BadArchive):
        tried(archive)


@pytest.mark.soak
def test_a_header_that_wants_a_gigabyte_of_memory(tmp_path: Path) -> None:
    import gzip

    with gzip.open(tmp_path / "a", "wb", compresslevel=1) as out:
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE, 3 << 30
        out.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(1_200):  # it ends early: what counts is how much is taken until then
            out.write(bytes(1 << 20))
    arguments = [str(tmp_path / "a"), str(tmp_path / "into"), "0", str(1 << 20), "marker"]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "deployx_agent.releases.unpack", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() in (
        "The archive needs more memory to read than it may have.",
        "The archive cannot be read (unexpected end of data).",
    )
    assert not (tmp_path / "into").exists()


def test_the_program_says_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    archive = tar(tmp_path / "a", file("../out"))
    before = os.umask(0o022)
    assert main([str(archive), str(tmp_path / "into"), "0", "1000", "m"]) == 1
    os.umask(before)
    assert capsys.readouterr().err == "'../out' in the archive leads out of the folder that it is unpacked into.\n"


_PARTS = st.sampled_from(["a", "b", "..", ".", "", "/", "a/b"])
_PATHS = st.lists(_PARTS, min_size=1, max_size=5).map("/".join)
_KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_PATHS, _KINDS, _PATHS), max_size=6), st.integers(0, 2))
def test_threat_17_no_archive_writes_outside(members: list[tuple[str, bytes, str]], strip: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "in" / "beside").write_text("untouched")
        archive = tar(folder / "a", *(file(path, kind=kind, link=target) for path, kind, target in members), mode="w")
        into = folder / "in" / "to"
        with contextlib.suppress(BadArchive, OSError):
            unpack(archive, into, strip, 1_000, "marker")
        assert sorted(path.name for path in folder.iterdir()) == ["a", "in"]
        assert {path.name for path in (folder / "in").iterdir()} <= {"beside", "to"}
        assert (folder / "in" / "beside").read_text() == "untouched"
        root = os.path.realpath(into)
        for parent, folders, files in os.walk(into):
            for one in (*folders, *files):
                path = Path(parent) / one
                if path.is_symlink() and (into / ".deployx-release").exists():
                    assert os.path.realpath(path).startswith(root)
