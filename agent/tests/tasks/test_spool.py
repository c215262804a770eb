"""The spool: frames on the disk, what of them the server has, what does not fit, what a crash leaves."""

import hashlib
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_agent.tasks.spool import INLINE_MAX_BYTES, JOURNAL_RESERVE_BYTES, Spool
from deployx_protocol import frames, limits
from deployx_protocol.frames import HEADER_BYTES, Frame
from deployx_protocol.task_messages import STDERR, STDOUT

CHUNKS = st.lists(st.tuples(st.sampled_from((STDOUT, STDERR)), st.binary(min_size=1, max_size=40)), max_size=30)


def written(path: Path, chunks: list[tuple[int, bytes]], quota_bytes: int = 1 << 20) -> Spool:
    path.unlink(missing_ok=True)
    spool = Spool(path, quota_bytes)
    for stream, data in chunks:
        spool.append(stream, data)
    return spool


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool") / "task.out"


@given(CHUNKS, st.integers(0, 600), st.lists(st.integers(0, 40), max_size=10), st.integers(1, 200))
def test_what_is_read_is_what_the_server_lacks(
    path: Path, chunks: list[tuple[int, bytes]], quota_bytes: int, saved: list[int], limit: int
) -> None:
    spool = written(path, chunks, quota_bytes)
    everything = list(frames.decode(spool.read(0, 1 << 20))) if spool.size else []
    kept = {stream: b"".join(f.data for f in everything if f.stream == stream) for stream in (STDOUT, STDERR)}
    whole = b"".join(data for _, data in chunks)
    assert spool.kept == {stream: len(data) for stream, data in kept.items()}
    assert sum(spool.kept.values()) == min(len(whole), quota_bytes)
    assert spool.lost_bytes == max(len(whole) - quota_bytes, 0)
    assert b"".join(frame.data for frame in everything) == whole[:quota_bytes]
    assert [frame.seq for frame in everything] == list(range(spool.chunks))
    both = hashlib.sha256(kept[STDOUT]).digest() + hashlib.sha256(kept[STDERR]).digest()
    assert spool.digest == hashlib.sha256(both).hexdigest()
    for next_seq in saved:
        spool.saved(next_seq)
        assert spool.saved_seq == min(next_seq, spool.chunks)
        left = spool.read(spool.saved_offset, limit)
        part = list(frames.decode(left))
        assert part == everything[spool.saved_seq :][: len(part)]
        assert bool(part) == spool.unsaved
        assert len(part) <= 1 or len(left) <= limit
    spool.remove()
    assert not path.exists()


@given(CHUNKS, st.integers(0, 2_000), st.binary(max_size=30))
def test_a_crash_leaves_the_whole_frames(path: Path, chunks: list[tuple[int, bytes]], cut: int, rest: bytes) -> None:
    spool = written(path, chunks)
    raw = spool.read(0, 1 << 20) if spool.size else b""
    path.write_bytes(raw[:cut] + (rest if cut >= len(raw) else b""))
    again = Spool(path, 0)
    whole = [f for f in frames.decode(raw) if sum(HEADER_BYTES + len(g.data) for g in _upto(raw, f.seq)) <= cut]
    assert again.chunks >= len(whole)
    assert list(frames.decode(again.read(0, 1 << 20) if again.size else b""))[: len(whole)] == whole
    assert path.stat().st_size == again.size, "half a frame is cut off"
    again.remove()


def _upto(raw: bytes, seq: int) -> list[Frame]:
    return [frame for frame in frames.decode(raw) if frame.seq <= seq]


def test_the_little_that_is_held_reads_the_same_and_makes_no_file(tmp_path: Path) -> None:
    chunks = [(STDOUT, b"a" * 10), (STDERR, b"b" * 5), (STDOUT, b"c" * 10)]
    held, kept = Spool(tmp_path / "held", 20), written(tmp_path / "kept", chunks, 20)
    for stream, data in chunks:
        held.hold(stream, data)
    assert (held.kept, held.lost_bytes, held.chunks, held.digest) == (kept.kept, 5, 3, kept.digest)
    assert held.stderr_head == kept.stderr_head
    assert held.seal() == kept.seal() == held.read(0, 1 << 20)
    for spool in (held, kept):
        spool.saved(2)
    assert held.read(held.saved_offset, 100) == kept.read(kept.saved_offset, 100)
    held.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_nothing_printed_makes_no_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "out", 100)
    assert (spool.seal(), spool.unsaved, list(tmp_path.iterdir())) == (b"", False, [])
    spool.remove()


def test_little_goes_into_the_journal_and_much_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    spool = Spool(tmp_path / "out", 1 << 20)
    spool.append(STDOUT, b"x" * 1000)
    assert spool.seal() == frames.encode(Frame(0, STDOUT, b"x" * 1000))
    assert synced == []
    for _ in range(INLINE_MAX_BYTES // limits.CHUNK_MAX_BYTES):
        spool.append(STDERR, b"y" * limits.CHUNK_MAX_BYTES)
    assert spool.seal() is None
    assert len(synced) == 2, "the file, and the folder that names it"


def test_fault_06_output_leaves_the_journal_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    spool = Spool(tmp_path / "out", 1 << 30)
    spool.append(STDOUT, b"a" * 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(JOURNAL_RESERVE_BYTES - 1))
    for _ in range(16):
        spool.append(STDOUT, b"b" * limits.CHUNK_MAX_BYTES)
    assert 0 < spool.lost_bytes < 16 * limits.CHUNK_MAX_BYTES
    lost = spool.lost_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(JOURNAL_RESERVE_BYTES))
    spool.append(STDERR, b"c")
    assert spool.lost_bytes == lost, "it is looked at again"
    assert [frame.seq for frame in frames.decode(spool.read(0, 1 << 20))] == list(range(spool.chunks))
