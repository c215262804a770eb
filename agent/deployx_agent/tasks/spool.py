"""The output of one task on this machine's disk: frames, as they will be sent, until the server has them all.

Written by one thread, read by another; a reader sees whole frames only. Invariant: what does not fit (the task's quota,
the disk) is counted and the task goes on; a spool never takes the room that the journal needs to record the end.
"""

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from deployx_protocol import frames, limits
from deployx_protocol.frames import HEADER_BYTES, Frame
from deployx_protocol.task_messages import STDERR, STDOUT

JOURNAL_RESERVE_BYTES = 4 * 1024 * 1024
"""Room on the disk that output leaves to the journal."""
HELD_MAX_BYTES = 1_024
"""What is held in memory, of tasks that printed no more; there may be ten thousand of them."""
INLINE_MAX_BYTES = 65_536
"""A spool of at most this size is written into the journal with the result: one sync instead of three."""
_HEAD_BYTES = 512
_BLOCK_BYTES = limits.OUTPUT_POST_MAX_BYTES
_CHECK_EVERY_BYTES = 262_144
_NO_BYTES = hashlib.sha256()
"""The hash of a stream that has printed nothing; never updated."""


class Spool:
    """The spool at ``path``; the file is made with the first output. An existing one is continued from its last whole
    frame, unless this is a ``fresh`` one. Raises OSError when an existing file cannot be read."""

    def __init__(self, path: Path | str, quota_bytes: int, *, fresh: bool = False) -> None:
        self._path = os.fspath(path)
        self._closing = threading.Lock()
        self._quota_bytes = quota_bytes
        self._descriptor = -1
        self._unchecked_bytes = _CHECK_EVERY_BYTES
        self._full = False
        self._held = b""
        self._hashes = {STDOUT: _NO_BYTES, STDERR: _NO_BYTES}
        self.kept = {STDOUT: 0, STDERR: 0}
        """Bytes of each stream that are in the spool."""
        self.lost_bytes = 0
        self.holds = True
        """Whether there is one program alone that prints: then what is little need not be in the file."""
        self.stderr_head = b""
        self.chunks = 0
        self.size = 0
        """Of the file, up to the last whole frame."""
        self.saved_seq = 0
        """Chunks below this one are the server's."""
        self.saved_offset = 0
        if not fresh and os.path.exists(self._path):  # noqa: PTH110 - at a third of the cost
            self._recover()

    @property
    def _room(self) -> int:
        return max(self._quota_bytes - sum(self.kept.values()), 0)

    @property
    def _folder(self) -> str:
        return os.path.dirname(self._path)  # noqa: PTH120

    # ------------------------------------------------------------ writing

    def append(self, stream: int, data: bytes) -> None:
        """Keep ``data`` (at most CHUNK_MAX_BYTES) as the next chunk, or as much of it as there is room for."""
        kept = data[: self._room]
        if kept and not self._write(stream, kept):
            kept = b""
        self.lost_bytes += len(data) - len(kept)

    def hold(self, stream: int, data: bytes) -> None:
        """The same for all that a task printed, if it is little: it stays in memory, for it goes into the journal with
        the result."""
        if not self.holds:
            self.append(stream, data)
            return
        kept = data if self.size + len(data) <= self._quota_bytes else data[: self._room]  # its size is with headers
        if kept:
            raw = frames.encode(Frame(self.chunks, stream, kept))
            self._held += raw
            self._count(stream, kept, len(raw))
        self.lost_bytes += len(data) - len(kept)

    def _write(self, stream: int, data: bytes) -> bool:
        if not self._has_room(len(data)):
            return False
        raw = frames.encode(Frame(self.chunks, stream, data))
        try:
            if self._descriptor < 0:
                self._open(os.O_CREAT | (0 if self.size else os.O_TRUNC))
            view = memoryview(raw)
            while view:
                view = view[_pwrite(self._descriptor, view, self.size + len(raw) - len(view)) :]
        except OSError:  # the disk is full or broken; half a frame is written over by the next
            self._full = True
            return False
        self._count(stream, data, len(raw))
        return True

    def _has_room(self, size: int) -> bool:
        self._unchecked_bytes += size
        if self._full or self._unchecked_bytes >= _CHECK_EVERY_BYTES:
            self._unchecked_bytes = 0
            self._full = shutil.disk_usage(self._folder).free < JOURNAL_RESERVE_BYTES
        return not self._full

    def _count(self, stream: int, data: bytes, size: int) -> None:
        if self._hashes[stream] is _NO_BYTES:
            self._hashes[stream] = hashlib.sha256()
        self._hashes[stream].update(data)
        self.kept[stream] += len(data)
        self.chunks += 1
        self.size += size
        if stream == STDERR and len(self.stderr_head) < _HEAD_BYTES:
            self.stderr_head = (self.stderr_head + data)[:_HEAD_BYTES]

    def _open(self, flags: int) -> None:
        flags |= os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._descriptor = os.open(self._path, flags, 0o600)

    @property
    def digest(self) -> str:
        """SHA-256 of (SHA-256 of what was kept of stdout + SHA-256 of stderr), hexadecimal."""
        return hashlib.sha256(self._hashes[STDOUT].digest() + self._hashes[STDERR].digest()).hexdigest()

    def seal(self) -> bytes | None:
        """Make what is in the spool survive a power cut: the whole content, if it is small enough to be written with
        the result; else None, and the file is on the disk. Nothing is appended any more. Raises OSError."""
        if self._held:
            return self._held
        output = self._read(0, self.size) if self.size <= INLINE_MAX_BYTES else None
        if output is None:
            self._sync()
        self._close()
        return output

    def _sync(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR) if self._descriptor < 0 else os.dup(self._descriptor)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self._folder, os.O_RDONLY) if os.name != "nt" else -1
        if folder >= 0:
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _close(self) -> None:
        """What is only read need not stay open: of those there may be many."""
        with self._closing:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    # ------------------------------------------------------------ reading

    @property
    def unsaved(self) -> bool:
        """Whether the server lacks some of it."""
        return self.saved_seq < self.chunks

    def read(self, offset: int, limit: int) -> bytes:
        """Whole frames from ``offset`` on (where one begins), at most ``limit`` bytes but at least one frame."""
        if self._held and offset == 0 and self.size <= limit:
            return self._held
        raw = self._read(offset, max(limit, HEADER_BYTES + limits.CHUNK_MAX_BYTES))
        end = 0
        for at, frame_end in _bounds(raw):
            if frame_end > limit and at:
                break
            end = frame_end
        return raw[:end]

    def saved(self, next_seq: int) -> None:
        """The server has every chunk below ``next_seq``, and wants that one next."""
        if next_seq < self.saved_seq:  # its database was put back to an earlier time
            self.saved_seq = self.saved_offset = 0
        if self._held and next_seq >= self.chunks:
            self.saved_seq, self.saved_offset = self.chunks, self.size
        while self.saved_seq < min(next_seq, self.chunks):
            passed = 0
            for _, end in _bounds(self._read(self.saved_offset, _BLOCK_BYTES)):
                passed = end
                self.saved_seq += 1
                if self.saved_seq == next_seq:
                    break
            self.saved_offset += passed

    def remove(self) -> None:
        """Forget it all."""
        if self._held:
            self._held = b""
            return
        self._close()
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._path)  # noqa: PTH108

    def _read(self, offset: int, limit: int) -> bytes:
        size = min(limit, self.size - offset)
        if size <= 0:
            return b""
        if self._held:
            return self._held[offset : offset + size]
        with self._closing:
            if self._descriptor >= 0:
                return _pread(self._descriptor, size, offset)
            with open(self._path, "rb") as file:  # noqa: PTH123
                return _pread(file.fileno(), size, offset)

    def _recover(self) -> None:
        """Count what an earlier process wrote; a frame that it did not finish is cut off."""
        self._open(0)
        while raw := _pread(self._descriptor, _BLOCK_BYTES, self.size):
            passed = 0
            for at, end in _bounds(raw):
                stream, seq = raw[at], int.from_bytes(raw[at + 1 : at + 5], "big")
                if seq != self.chunks or stream not in self.kept:
                    break
                self._count(stream, raw[at + HEADER_BYTES : end], end - at)
                passed = end
            if not passed:
                break
        self._close()
        os.truncate(self._path, self.size)


NOTHING = Spool(Path(os.devnull) / "nothing", 0)
"""The spool of all that has printed nothing, and will not: it is never written."""


def _bounds(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where each whole frame of ``raw`` begins and ends."""
    at = 0
    while at + HEADER_BYTES <= len(raw):
        end = at + HEADER_BYTES + int.from_bytes(raw[at + 5 : at + 9], "big")
        if end > len(raw):
            return
        yield at, end
        at = end


if os.name == "nt":
    _POSITION = threading.Lock()

    def _pread(descriptor: int, size: int, offset: int) -> bytes:
        with _POSITION:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)

    def _pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        with _POSITION:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data)

else:

    def _pread(descriptor: int, size: int, offset: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def _pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)
