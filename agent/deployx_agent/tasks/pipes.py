"""Reads what a child prints much of, from both pipes at once, into its spool.

One thread a task, from the moment at which `listening` hands it over. It reads only as fast as the spool takes it: a
child that prints faster than the disk waits on its pipe. What comes within `GATHER_S` on one stream is one chunk; when
the streams take turns, each turn is a chunk, so that their order can be read again, up to `TURNS_MAX` in that time.
Between two writes to different pipes that come closer together than a read takes, nobody can tell the order.

Invariant: the thread ends: at the end of both pipes, or, since a grandchild may hold them open for ever, `GRACE_S`
after the child's own end.
"""

import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from deployx_agent.tasks.spool import Spool
from deployx_protocol.limits import CHUNK_BYTES, CHUNK_MAX_BYTES
from deployx_protocol.task_messages import STDOUT

GATHER_S = 0.1
GRACE_S = 2.0
TURNS_MAX = 50


class Collector:
    """Fills ``spool``, after what was ``heard`` before, from ``pipes`` (each with its stream). ``on_output`` is called,
    in the collecting thread, when there is more."""

    def __init__(
        self,
        pipes: Mapping[int, int],
        spool: Spool,
        on_output: Callable[[], None],
        heard: Iterable[tuple[int, bytes]] = (),
    ) -> None:
        self._source = _Source(pipes)
        self._heard = heard
        self._spool = spool
        self._on_output = on_output
        self._give_up: float | None = None
        self._stream = STDOUT
        self._pending = bytearray()
        self._pending_since = 0.0
        self._window_since = 0.0
        self._turns = 0

    def child_ended(self) -> None:
        """From now on what is still in the pipes is read, for `GRACE_S` at most."""
        self._give_up = time.monotonic() + GRACE_S
        self._source.wake()

    def run(self) -> None:
        """Read until there is nothing more to come. The pipes are closed after this."""
        try:
            for stream, data in self._heard:
                self._take(stream, data)
            self._flush()
            while self._source.open:
                self._read()
        finally:
            self._flush()
            self._source.close()

    def _read(self) -> None:
        now = time.monotonic()
        if self._give_up is not None and now >= self._give_up:
            self._source.close()
            return
        for stream, data in self._source.read(self._patience(now)):
            self._take(stream, data)
        if self._pending and time.monotonic() >= self._pending_since + GATHER_S:
            self._flush()

    def _patience(self, now: float) -> float | None:
        due = [self._pending_since + GATHER_S] if self._pending else []
        due += [] if self._give_up is None else [self._give_up]
        return max(min(due) - now, 0) if due else None

    def _take(self, stream: int, data: bytes) -> None:
        if stream != self._stream:
            if self._pending:
                self._flush()
                self._slow_down()
            self._stream = stream
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending += data
        while len(self._pending) >= CHUNK_BYTES:
            self._keep(bytes(self._pending[:CHUNK_BYTES]))
            del self._pending[:CHUNK_BYTES]
            self._pending_since = time.monotonic()

    def _slow_down(self) -> None:
        """Streams that take turns all the time must not make a million chunks: let more gather between two reads."""
        now = time.monotonic()
        if now >= self._window_since + GATHER_S:
            self._window_since, self._turns = now, 0
        self._turns += 1
        if self._turns >= TURNS_MAX:
            time.sleep(max(self._window_since + GATHER_S - now, 0))

    def _flush(self) -> None:
        if self._pending:
            self._keep(bytes(self._pending))
            self._pending.clear()

    def _keep(self, data: bytes) -> None:
        self._spool.append(self._stream, data)
        self._on_output()


class _PollSource:
    """All pipes under one ``poll``."""

    def __init__(self, pipes: Mapping[int, int]) -> None:
        self._streams = dict(pipes)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._poll = select.poll()
        for descriptor in (*pipes, self._woken):
            self._poll.register(descriptor, select.POLLIN)
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        return bool(self._streams)

    def read(self, patience_s: float | None) -> list[tuple[int, bytes]]:
        """What has come, waiting for something at most ``patience_s``."""
        got = []
        for descriptor, _ in self._poll.poll(None if patience_s is None else patience_s * 1000 + 1):
            if descriptor == self._woken:
                os.read(self._woken, 64)
                continue
            data = os.read(descriptor, CHUNK_MAX_BYTES)
            if data:
                got.append((self._streams[descriptor], data))
            else:
                self._drop(descriptor)
        return got

    def wake(self) -> None:
        """Make ``read`` return."""
        with self._lock, suppress(OSError):
            if self._waker >= 0:
                os.write(self._waker, b".")

    def close(self) -> None:
        for descriptor in list(self._streams):
            self._drop(descriptor)
        with self._lock:
            if self._waker >= 0:
                os.close(self._waker)
                os.close(self._woken)
                self._waker = -1

    def _drop(self, descriptor: int) -> None:
        del self._streams[descriptor]
        self._poll.unregister(descriptor)
        os.close(descriptor)


class _ThreadSource:
    """Windows cannot wait for pipes: a thread reads each of them, a few reads ahead."""

    def __init__(self, pipes: Mapping[int, int]) -> None:
        self._queue: queue.Queue[tuple[int, bytes]] = queue.Queue(8)
        self._left = set(pipes.values())
        for descriptor, stream in pipes.items():
            threading.Thread(target=self._pump, args=(stream, descriptor), daemon=True).start()

    @property
    def open(self) -> bool:
        return bool(self._left)

    def _pump(self, stream: int, descriptor: int) -> None:
        data = b"."
        while data:
            try:
                data = os.read(descriptor, CHUNK_MAX_BYTES)
            except OSError:
                data = b""
            self._queue.put((stream, data))
        os.close(descriptor)

    def read(self, patience_s: float | None) -> list[tuple[int, bytes]]:
        try:
            stream, data = self._queue.get(timeout=patience_s)
        except queue.Empty:
            return []
        if not data:
            self._left.discard(stream)
            return []
        return [(stream, data)] if stream else []

    def wake(self) -> None:
        self._queue.put((0, b"."))

    def close(self) -> None:
        self._left.clear()


_Source = _ThreadSource if os.name == "nt" else _PollSource


def at_hand(descriptors: Iterable[int]) -> list[int]:
    """Which of these pipes can be read without waiting, or have ended. Not on Windows."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(0)]
