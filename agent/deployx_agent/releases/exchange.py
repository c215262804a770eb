"""Two names of one folder that change places in one step, which nobody can see half done.

`renameat2` of Linux with `RENAME_EXCHANGE`, through ctypes: Python has no name for it. Invariant: after a crash one of
the two is in each place, never none.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

from deployx_agent.state.durable import sync_folder

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(one: Path, other: Path) -> None:
    """Have them change places, durably. Raises OSError, with EINVAL or ENOSYS where the system cannot do that."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))
    for folder in {one.parent, other.parent}:
        sync_folder(folder)


def possible(folder: Path, name: str) -> bool:
    """Whether folders in ``folder`` can change places. ``name`` is free there, and so is it with a 1 after it."""
    pair = [folder / name, folder / f"{name}1"]
    try:
        for one in pair:
            one.mkdir(mode=0o700)
        exchange(*pair)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP):
            return False
        raise
    finally:
        for one in pair:
            if one.is_dir():
                one.rmdir()
    return True
