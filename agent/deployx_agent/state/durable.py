"""Files that are either the old ones or the new ones, whatever happens in between; and what to do with broken ones.

Write: temporary file, fsync, rename, fsync of the folder. Read: a file that is unreadable, not a JSON object of the
expected shape, or writable by others is moved aside and reported, never trusted and never deleted.
"""

import json
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_LONGEST_BYTES = 65_536


class Unusable(Exception):
    """A file that must not be used; the message says why."""


def write(path: Path, content: dict[str, Any], *, sync: bool = True) -> None:
    """Replace ``path`` by ``content`` as JSON, mode 0600. With ``sync`` it has survived a power cut when this returns.

    Raises OSError; the old file is then still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")  # the lock holder alone writes; what a crash left is written over
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make what ``path`` holds durable; its name is its folder's."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable. Windows has no such thing, and needs none."""
    if os.name != "nt":
        sync_file(folder)


def read(path: Path, parse: Callable[[dict[str, Any]], T], longest_bytes: int = _LONGEST_BYTES) -> T | None:
    """What ``parse`` makes of the JSON object in ``path``, None when there is no such file.

    ``parse`` raises ValueError, KeyError or TypeError for a shape it does not know. Raises Unusable.
    """
    if not usable(path):
        return None
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror})") from None
    if not raw.strip(b"\x00 \r\n\t"):
        raise Unusable("it is empty")
    try:
        if len(raw) > longest_bytes:
            raise ValueError
        content = json.loads(raw)
        if not isinstance(content, dict):
            raise TypeError
        return parse(content)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unusable("its content is damaged") from None


def usable(path: Path) -> bool:
    """Whether there is a file, and it can be trusted. Raises Unusable when it cannot."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(mode):
        raise Unusable("it is not a regular file")
    if os.name != "nt" and mode & 0o022:
        raise Unusable(f"others can write to it (mode {stat.S_IMODE(mode):04o})")
    return True


def set_aside(path: Path, label: str = "bad") -> Path:
    """Rename ``path`` to ``<name>.<label>-<UTC time>`` and return the new path. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.{label}-{stamp}")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.{label}-{stamp}-{number}")
    path.rename(aside)
    sync_folder(path.parent)
    return aside
