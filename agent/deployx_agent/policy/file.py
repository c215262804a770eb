"""The policy file: where it is, whether it can be believed, what it says.

It is looked at before each task, which costs a ``stat``, and read again when it has changed. Invariant: a file that is
there and cannot be used is never taken for none. It can be used only if nobody but root could have written it, through
any folder or link on the way to it.
"""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_protocol import limits

if TYPE_CHECKING:  # most machines have no policy, and the agent's memory is counted
    from deployx_protocol.policy import Policy

NAME = "policy.toml"
STOP = "stop"
_LINKS_MAX = 40
_OTHERS_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class Found:
    """A policy file. ``policy`` is None if it cannot be used; ``error`` says why, and what to do."""

    path: Path
    sha256: str = ""
    policy: "Policy | None" = None
    error: str = ""


def default_path() -> Path:
    """Where it is looked for when no setting names it: always a folder of root's, whoever the agent runs as."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "DeployX Agent" / NAME
    return Path("/etc/deployx-agent") / NAME


class PolicyFile:
    """The file at ``path``; without one, at the default place, where there need not be one."""

    def __init__(self, path: Path | None) -> None:
        self._named = path is not None
        self.path = path or default_path()
        self._name, self._stop = str(self.path), str(self.path.with_name(STOP))
        self._seen: tuple[int, ...] | None = None
        self._found: Found | None = None

    def current(self) -> Found | None:
        """What holds now; None if this machine has no policy."""
        if not self._named:
            try:
                os.lstat(self._name)
            except FileNotFoundError:
                self._seen = None
                return None
            except OSError:
                pass
        try:
            seen = _identity(os.stat(self._name))  # noqa: PTH116 - for each task, at half the cost
        except OSError as error:
            self._seen = None
            return Found(self.path, error=f"The policy {self.path} cannot be read ({error.strerror}).")
        if seen != self._seen:
            self._found, self._seen = read(self.path), seen
        return self._found

    def stopped_by(self, found: Found | None) -> str:
        """The file that stops all work; empty if there is none. One that cannot be looked for counts as there."""
        named = found.policy.stop_file if found and found.policy else ""
        for path in (self._stop, *([named] if named else [])):
            try:
                os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                pass
            return path
        return ""


def read(path: Path) -> Found:
    """The policy at ``path``, which exists."""
    import hashlib
    import tomllib

    from deployx_protocol.policy import parse

    try:
        if why := _doubtful(path):
            return Found(path, error=f"The policy {path} is not believed: {why}.")
        with path.open("rb") as file:
            raw = file.read(limits.POLICY_MAX_BYTES // 2 + 1)
    except OSError as error:
        return Found(path, error=f"The policy {path} cannot be read ({error.strerror}).")
    sha256 = hashlib.sha256(raw).hexdigest()
    try:
        if len(raw) > limits.POLICY_MAX_BYTES // 2:
            raise ValueError(f"it has more than {limits.POLICY_MAX_BYTES // 2} bytes")
        return Found(path, sha256, parse(tomllib.loads(raw.decode())))
    except ValueError as error:
        return Found(path, sha256, error=f"The policy {path} cannot be used: {str(error).rstrip('.')}.")


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """Changes with the file, its owner and its mode."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_uid


def _doubtful(path: Path) -> str:
    """Who else could have written what is read from ``path``; empty if nobody. Raises OSError."""
    if sys.platform == "win32":  # its rights are in access lists, which the standard library does not read
        return ""
    at, todo, links = Path("/"), [*path.absolute().parts[1:]], 0
    why = _writable(at, at.lstat())
    while todo and not why:
        part = todo.pop(0)
        if part == os.pardir:
            at = at.parent
            continue
        found = (at / part).lstat()
        why = _writable(at / part, found)
        if not stat.S_ISLNK(found.st_mode):
            at = at / part
            continue
        links += 1
        if links > _LINKS_MAX:
            return "it goes round in links"
        target = (at / part).readlink()
        at, todo = (Path("/"), [*target.parts[1:], *todo]) if target.is_absolute() else (at, [*target.parts, *todo])
    return why or ("" if at.is_file() else "it is no file")


def _writable(path: Path, found: os.stat_result) -> str:
    if found.st_uid != 0:
        return f"{path} belongs to the user with the id {found.st_uid} and has to be root's"
    shared = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX  # what is root's in there stays root's
    if found.st_mode & _OTHERS_WRITE and not stat.S_ISLNK(found.st_mode) and not shared:
        return f"others than root may write to {path}; run chmod go-w on it"
    return ""
