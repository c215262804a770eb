"""The state folder of one agent: made private, and held by one process at a time.

Invariant: as long as an agent runs it holds the lock, and the kernel takes the lock away with the process, however it
ends. So the lock, not a process id, tells whether an agent is alive.
"""

import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from deployx_agent.exits import Busy, ConfigError
from deployx_agent.logs import Log

_LOCK_NAME = "lock"
_PATIENCE_S = 0.5
"""``status`` takes the lock for a moment to see whether it is free."""


class StateFolder:
    """Creates the folder if needed and holds its lock while entered. Raises ConfigError or Busy."""

    def __init__(self, path: Path, log: Log) -> None:
        self.path = path
        self._log = log
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._make_private()
        try:
            self._descriptor = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unusable(self.path, error) from None
        give_up = time.monotonic() + _PATIENCE_S
        while not _try_lock(self._descriptor):
            if time.monotonic() > give_up:
                holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
                os.close(self._descriptor)
                raise Busy(
                    f"Another agent (process {holder}) is using the state folder {self.path}. Stop it first, or set "
                    "DEPLOYX_STATE_DIR to a folder of its own for this one."
                )
            time.sleep(0.02)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def _make_private(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
            if os.name != "nt" and mode & 0o022:
                if mode & stat.S_ISVTX:
                    raise ConfigError(
                        f"The state folder {self.path} is shared by everyone on this machine; set DEPLOYX_STATE_DIR to "
                        "a folder of the agent's own."
                    )
                self.path.chmod(0o700)
                self._log.warning("The state folder was writable by others; it is private now", path=self.path)
        except OSError as error:
            raise _unusable(self.path, error) from None


def is_held(path: Path) -> bool:
    """Whether an agent runs on the state folder ``path``."""
    try:
        descriptor = os.open(path / _LOCK_NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"The state folder {path} cannot be used ({error.strerror or error}). Set DEPLOYX_STATE_DIR to a folder that "
        "the agent may write to."
    )


if os.name == "nt":
    import msvcrt

    _FAR_AWAY = 1 << 30  # Windows locks bytes against reading too: not those that hold the process id

    def _try_lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, _FAR_AWAY, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
