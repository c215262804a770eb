"""Scripts that were fetched, kept for the next task that names them.

Invariants: what is taken from here has the hash it is kept under, checked each time, so nobody who can write into this
folder can have something else run. At most `MAX_BYTES` are kept, and nothing longer than `UNUSED_S` after its last use.
A script that cannot be kept is fetched again: the cache is never a reason to fail.
"""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from deployx_agent.tasks import scripts
from deployx_protocol.task_messages import Script

FOLDER = "scripts"
MAX_BYTES = 8 << 20
UNUSED_S = 86_400.0
_PART = ".part"


class ScriptCache:
    """The cache below ``folder``, which is made with the first script. Nothing here raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def get(self, script: Script) -> bytes | None:
        """Its bytes, if they are here and whole; then they count as used now. What is not whole is removed."""
        path = self._folder / script.sha256
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        except OSError:
            return None
        with suppress(OSError), os.fdopen(descriptor, "rb") as file:
            body = file.read(script.size + 1)
            if scripts.is_whole(script, body):
                os.utime(path)
                return body
        _remove(path)
        return None

    def put(self, body: bytes) -> None:
        """Keep ``body``, and make room for it."""
        path = self._folder / hashlib.sha256(body).hexdigest()
        part = path.with_name(path.name + _PART)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            _remove(part)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
            part.replace(path)
        except OSError:
            _remove(part)
        self.prune()

    def prune(self) -> None:
        """Remove what was not used for long, what is too much (what was used longest ago first), and leftovers."""
        kept: list[tuple[float, int, Path]] = []
        oldest = time.time() - UNUSED_S
        with suppress(OSError):
            for path in self._folder.iterdir():
                found = path.lstat()
                if path.suffix == _PART or found.st_mtime < oldest:
                    _remove(path)
                else:
                    kept.append((found.st_mtime, found.st_size, path))
        left = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if left <= MAX_BYTES:
                break
            _remove(path)
            left -= size


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
