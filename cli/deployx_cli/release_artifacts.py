"""The files that a release brings along, as they lie beside its manifest.

Invariant: a file is named from the folder of the manifest and lies in it, wherever links lead.
"""

import hashlib
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

from deployx_cli.release_yaml import Fault, Place

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class LocalFile:
    """A file that becomes an artifact."""

    path: Path
    shown: str
    """As the manifest names it."""
    place: Place

    @cached_property
    def _known(self) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
        return digest.hexdigest(), size

    @property
    def sha256(self) -> str:
        """Of its bytes, read once. Raises OSError."""
        return self._known[0]

    @property
    def size(self) -> int:
        """How many bytes it had when it was read. Raises OSError."""
        return self._known[1]


def located(folder: Path, name: str, place: Place) -> LocalFile:
    """The file that ``name`` is, in ``folder``, which is resolved. Raises Fault."""
    if "\x00" in name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        raise Fault(place, f"{name[:80]!r} has to be named from the folder of this file, and not by an absolute path.")
    if ".." in PurePosixPath(name.replace("\\", "/")).parts:
        raise Fault(place, f"{name[:80]!r} leads out of the folder of this file; put it into that folder.")
    path = folder / name
    try:
        real = path.resolve(strict=True)
        kind = real.stat().st_mode
    except FileNotFoundError:
        raise Fault(place, f"There is no file {name[:80]!r} in {folder}.") from None
    except (OSError, RuntimeError) as error:
        raise Fault(place, f"{name[:80]!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not real.is_relative_to(folder):
        raise Fault(place, f"{name[:80]!r} is a link that leads out of the folder of this file, to {real}.")
    if not stat.S_ISREG(kind):
        raise Fault(place, f"{name[:80]!r} is no file; an artifact has to be one.")
    return LocalFile(path, name, place)
