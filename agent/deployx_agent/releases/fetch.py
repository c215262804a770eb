"""Brings an artifact onto this machine: from the server, or from where the server says that it is.

Invariants: what is at ``into`` when ``fetch`` returns has the size and the hash that were asked for, durably. A part of
it stays in the state folder across failures, restarts and power cuts, and the next try begins at its last byte. What
came with the wrong hash is dropped, and tried again ``TRIES`` times in all. Memory does not grow with the artifact.
"""

import asyncio
import errno
import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum, auto
from functools import partial as bound
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from deployx_agent.connection.background import in_thread
from deployx_agent.connection.transport import RequestError
from deployx_agent.logs import Log
from deployx_agent.releases.pace import Pace
from deployx_agent.releases.partial import Partial, TooLong, is_whole
from deployx_agent.tasks.outbox import Connection
from deployx_protocol import checks

FOLDER: Final = "artifacts"
TRIES: Final = 3
"""How often one may come with the wrong hash, or longer than it is."""
DISK_RESERVE_BYTES: Final = 64 << 20
"""So much stays free on the disk beside what is fetched."""
_RETRY_S = 0.5
_RETRY_MAX_S = 30.0
_NEVER = (400, 403, 404, 410, 422)
_SAID_EVERY_BYTES = 1 << 20


class Why(Enum):
    """Why an artifact is not here, and trying again would not help."""

    UNAVAILABLE = auto()  # the server does not have it for this device
    DAMAGED = auto()  # it came with the wrong hash each time
    DISK = auto()  # there is no room for it


class FetchError(Exception):
    """The artifact cannot be fetched. The sentence is for people."""

    def __init__(self, why: Why, sentence: str) -> None:
        super().__init__(sentence)
        self.why = why


class Fetcher:
    """Fetches into the state folder ``folder``: ``parallel`` at once, ``rate`` bytes a second in all (0: no limit)."""

    def __init__(
        self, folder: Path, connection: Callable[[], Connection | None], log: Log, *, parallel: int = 2, rate: int = 0
    ) -> None:
        self._folder = folder / FOLDER
        self._connection = connection
        self._log = log
        self._turn = asyncio.Semaphore(parallel)
        self._pace = Pace(rate)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def fetch(
        self, sha256: str, size: int, into: Path, *, progress: Callable[[int], None] = lambda _have: None
    ) -> None:
        """Have the artifact at ``into``, on the disk of the state folder; at once if it is there already.

        It waits for a connection, and tries for as long as it takes: put a time-out around it. Cancelled, it keeps what
        it has. ``progress`` is told, in the loop, how many bytes are here. Raises FetchError.
        """
        if not checks.is_hex(sha256, 64):
            raise ValueError("no SHA-256")
        lock = self._locks.setdefault(sha256, asyncio.Lock())
        async with lock, self._turn:
            try:
                if not await in_thread(lambda: is_whole(into, sha256, size), "hash"):
                    await self._bring(sha256, size, into, progress)
            except OSError as error:
                raise _disk(error, size) from None
        progress(size)

    def forget(self, kept: frozenset[str] = frozenset()) -> None:
        """Remove the parts of what is wanted no more: all but those of the hashes in ``kept``. It blocks."""
        with suppress(OSError):
            for path in self._folder.glob("*.part"):
                if path.name.removesuffix(".part") not in kept:
                    path.unlink(missing_ok=True)

    async def _bring(self, sha256: str, size: int, into: Path, progress: Callable[[int], None]) -> None:
        wrong = failures = 0
        while True:
            partial = Partial(self._folder / f"{sha256}.part", sha256, size)
            sink = _Sink(partial, self._pace, progress)
            try:
                await in_thread(partial.open, "hash")
                before = partial.have
                why = await self._more(partial, size, sink)
                if why is None and await in_thread(partial.finish, "hash"):
                    await in_thread(bound(partial.become, into), "hash")
                    return
            finally:
                await asyncio.shield(in_thread(partial.close, "hash"))  # the disk may take its time
            wrong += why is None or sink.too_long
            why = why or "its hash is wrong"
            failures = 0 if partial.have > before else failures + 1
            if wrong >= TRIES:
                raise FetchError(Why.DAMAGED, f"An artifact came damaged {TRIES} times: {why}.")
            self._log.warning("An artifact could not be fetched; it is tried again", error=why, have=partial.have)
            pause_s = min(_RETRY_S * 2.0 ** min(failures, 10), _RETRY_MAX_S) * (0.5 + random.random() / 2)  # noqa: S311
            await asyncio.sleep(max(pause_s, sink.retry_after_s))

    async def _more(self, partial: Partial, size: int, sink: "_Sink") -> str | None:
        """Read on; None when all of its bytes are here, else why not. Raises FetchError, OSError."""
        if partial.is_complete:
            return None
        self._check_room(size - partial.have)
        connection = self._connection()
        if connection is None:
            return "there is no connection"
        path = f"/api/agent/v1/artifacts/{partial.sha256}"
        try:
            await connection.link.download(path, connection.http_token, partial.have, sink)
        except (RequestError, TooLong) as error:
            if isinstance(error, TooLong):
                sink.too_long = True
                await in_thread(partial.restart, "hash")
                return "it is longer than it should be"
            return str(error)
        except DiskError as error:
            raise error.cause from None
        if sink.status in _NEVER:
            raise FetchError(
                Why.UNAVAILABLE, f"The server has no artifact {partial.sha256[:12]}… for this device ({sink.status})."
            )
        if sink.why:
            return sink.why
        return None if partial.is_complete else f"it ended after {partial.have} of {size} bytes"

    def _check_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < wanted + DISK_RESERVE_BYTES:
            raise FetchError(
                Why.DISK,
                f"The agent's disk has {free >> 20} MiB left, and an artifact needs {wanted >> 20} MiB beside "
                f"{DISK_RESERVE_BYTES >> 20} MiB that stay free; make room there.",
            )


class DiskError(Exception):
    """The disk does not take it; an OSError would look like one of the network."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Sink:
    """Puts what comes where it belongs. But for its making it lives in the thread that reads."""

    def __init__(self, partial: Partial, pace: Pace, progress: Callable[[int], None]) -> None:
        self._partial = partial
        self._pace = pace
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        self._said = 0
        self.status = 0
        self.why = ""
        self.retry_after_s = 0.0
        self.too_long = False

    @property
    def block(self) -> int:
        return self._pace.block

    def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether these are the bytes that follow."""
        self.status = status
        if status == 200:
            self._on_disk(self._partial.restart)
        elif status == 206:
            begun = headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
            self.why = "" if begun == str(self._partial.have) else "the server sent another part than was asked for"
        elif status == 416:
            self._on_disk(self._partial.restart)
            self.why = "the server has fewer bytes of it than there are here"
        else:
            self.why = f"the server answered {status}"
            pause = headers.get("retry-after", "")
            self.retry_after_s = min(float(pause), _RETRY_MAX_S) if pause.isdecimal() and len(pause) < 9 else 0.0
        return not self.why

    def write(self, block: bytes) -> None:
        """Keep it, then wait until it is paid for."""
        self._on_disk(lambda: self._partial.write(block))
        if self._partial.have - self._said >= _SAID_EVERY_BYTES or self._partial.is_complete:
            self._said = self._partial.have
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._progress, self._said)
        self._pace.spend(len(block))

    def _on_disk(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            raise DiskError(error) from None


def _disk(error: OSError, size: int) -> FetchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        said = f"The agent's disk is full, and an artifact has {size >> 20} MiB; make room there."
    else:
        said = f"The agent's disk cannot be used for an artifact: {error.strerror or error}."
    return FetchError(Why.DISK, said)
