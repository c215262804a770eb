"""A file on its way to the server: hashed, then sent in pieces, on from where the server has it.

Invariants: in memory is one piece, however large the file. What the server has is not sent again, neither after a cut
nor when the command is started again. The file is sent as it was when it was hashed, or not at all: the server looks.
"""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from deployx_cli.api import Api
from deployx_cli.errors import CommandError, Unreachable
from deployx_cli.progress import Progress

_HASH_BYTES = 1 << 20
_PIECE_LEAST = 256 << 10
_PIECE_MOST = 16 << 20
_PIECE_TAKES_S = 1.0
"""Pieces grow until one takes so long: then the bar moves about once a second, and little is lost with one."""
GIVE_UP_S = 120.0
"""For so long it is tried again without a byte in between."""
_PAUSE_S = 0.5
_PAUSE_MAX_S = 10.0
_CHECK_BYTES_PER_S = 100 << 20
"""How fast a server hashes what has come, at least."""
_WIDTH = 24
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def upload(
    api: Api, path: Path, progress: Progress, *, name: str = "", pause: Callable[[float], None] = time.sleep
) -> Any:
    """The artifact that the file at ``path`` is. ``progress`` shows how far it is. Raises CommandError."""
    try:
        with path.open("rb") as file, _broken_connections_are_errors():
            size = os.fstat(file.fileno()).st_size
            sha256 = _hash(file, size, path.name, progress)
            return _Upload(api, file, size, sha256, name or path.name, progress, pause).run()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from None
    finally:
        progress.clear()


class _Upload:
    def __init__(
        self,
        api: Api,
        file: BinaryIO,
        size: int,
        sha256: str,
        name: str,
        progress: Progress,
        pause: Callable[[float], None],
    ) -> None:
        self._api = api
        self._file = file
        self._size = size
        self._sha256 = sha256
        self._name = name
        self._progress = progress
        self._pause = pause
        self._piece_bytes = 1 << 20
        self._speed = 0.0

    def run(self) -> Any:
        """The artifact."""
        found = self._announced()
        at, stuck_since, pause_s = 0, 0.0, _PAUSE_S
        while not found.get("complete"):
            offset = self._number(found, "offset")
            if offset > at:
                at, stuck_since, pause_s = offset, 0.0, _PAUSE_S
            try:
                found = self._send(found)
            except Unreachable as error:
                stuck_since = stuck_since or time.monotonic()
                if time.monotonic() - stuck_since > GIVE_UP_S:
                    raise Unreachable(f"{error} What was sent is kept: run this again to go on.") from None
                self._piece_bytes = max(self._piece_bytes // 2, _PIECE_LEAST)
                self._show("waiting", offset, str(error))
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
                with suppress(Unreachable):
                    found = self._announced()
        return found["artifact"]

    def _announced(self) -> dict[str, Any]:
        """How far the server has it. It is announced each time: the answer to the last piece may have been lost."""
        return self._api.begin_upload(self._sha256, self._size, self._name)

    def _send(self, found: dict[str, Any]) -> dict[str, Any]:
        offset = self._number(found, "offset")
        most = min(self._piece_bytes, self._number(found, "piece_max_bytes"))
        self._show("sending", offset)
        self._file.seek(offset)
        piece = self._file.read(min(most, self._size - offset))
        if len(piece) < min(most, self._size - offset):
            raise CommandError(f"{self._name} has become shorter while it was sent.")
        begun = time.monotonic()
        is_last = offset + len(piece) == self._size
        patience_s = self._size / _CHECK_BYTES_PER_S if is_last else 0.0
        found = self._api.send_piece(str(found.get("id")), offset, piece, patience_s)
        self._measure(len(piece), time.monotonic() - begun)
        return found

    def _measure(self, count: int, took_s: float) -> None:
        speed = count / max(took_s, 0.001)
        self._speed = speed if not self._speed else 0.7 * self._speed + 0.3 * speed
        self._piece_bytes = min(max(int(self._speed * _PIECE_TAKES_S), _PIECE_LEAST), _PIECE_MOST)

    def _show(self, doing: str, offset: int, why: str = "") -> None:
        rate = f", {spoken(self._speed)}/s, {_left((self._size - offset) / self._speed)} left" if self._speed else ""
        self._progress.show(f"{self._name}: {_bar(offset, self._size)} {doing}{f': {why}' if why else rate}")

    def _number(self, found: dict[str, Any], field: str) -> int:
        value = found.get(field)
        if not isinstance(value, int):
            raise self._api.foreign()
        return value


@contextmanager
def _broken_connections_are_errors() -> Iterator[None]:
    """A signal that ends whoever writes to a closed pipe is good for `| head`, and would end an upload at a cut."""
    pipe = getattr(signal, "SIGPIPE", None)
    before = pipe and signal.signal(pipe, signal.SIG_IGN)
    try:
        yield
    finally:
        if pipe:
            signal.signal(pipe, before)


def _hash(file: BinaryIO, size: int, name: str, progress: Progress) -> str:
    digest, done = hashlib.sha256(), 0
    while block := file.read(_HASH_BYTES):
        digest.update(block)
        done += len(block)
        progress.show(f"{name}: {_bar(done, size)} hashing")
    if done != size:
        raise CommandError(f"{name} changed while it was read.")
    return digest.hexdigest()


def _bar(done: int, total: int) -> str:
    filled = _WIDTH * done // total if total else _WIDTH
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {spoken(done)} of {spoken(total)}"


def spoken(count: float) -> str:
    """A number of bytes as people say it."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def _left(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
