"""Scripts: fetched by their hash, checked, put where the task's user can read them, and removed after.

Invariant: bytes that do not have the hash the task names are never executed. The folder's name is the task's id, which
nobody can guess in advance; one that exists already is our own of before a crash, or the start fails.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from deployx_agent.tasks.command import CannotStart, User
from deployx_protocol import limits
from deployx_protocol.checks import is_hex
from deployx_protocol.task_messages import Script
from deployx_protocol.tasks import TaskCode

_SUFFIXES = {"powershell": ".ps1", "pwsh": ".ps1", "powershell.exe": ".ps1", "pwsh.exe": ".ps1"}


def path_to_fetch(script: Script) -> str:
    """Where the server has it. Raises CannotStart for what is no hash or too long."""
    if not is_hex(script.sha256, 64):
        raise CannotStart(TaskCode.SCRIPT_UNAVAILABLE, "The task names a script by something that is no SHA-256.")
    if script.size > limits.SCRIPT_MAX_BYTES:
        raise CannotStart(
            TaskCode.SCRIPT_UNAVAILABLE, f"The script is larger than the {limits.SCRIPT_MAX_BYTES} bytes allowed."
        )
    return f"/api/agent/v1/scripts/{script.sha256}"


def is_whole(script: Script, body: bytes) -> bool:
    """Whether ``body`` is what the task names."""
    return hashlib.sha256(body).hexdigest() == script.sha256


def place(folder: Path, task_id: str, script: Script, body: bytes, user: User | None) -> Path:
    """Store ``body`` for ``user`` to read, 0700. Raises CannotStart."""
    name = "script" + _SUFFIXES.get(Path(script.interpreter[0]).name.lower() if script.interpreter else "", "")
    home = _home(folder, task_id, user)
    try:
        remove(folder, task_id)
        home.mkdir(mode=0o700)
        path = home / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o700)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        if user and sys.platform != "win32":
            for part in (path, home):
                os.chown(part, user.uid, user.gid)
    except OSError as error:
        code = TaskCode.DISK_FULL if error.errno == 28 else TaskCode.START_FAILED
        raise CannotStart(code, f"The script cannot be stored on this machine ({error.strerror or error}).") from None
    return path


def remove(folder: Path, task_id: str) -> None:
    """Remove a task's script, wherever it was placed."""
    for home in (_home(folder, task_id, None), _shared(task_id)):
        if home.is_dir() and not home.is_symlink():
            shutil.rmtree(home, ignore_errors=True)


def _home(folder: Path, task_id: str, user: User | None) -> Path:
    """In the state folder; another user has no way into that one, so there it is the machine's temporary folder."""
    return _shared(task_id) if user else folder / f"{task_id}.script"


def _shared(task_id: str) -> Path:
    return Path(tempfile.gettempdir()) / f"deployx-{task_id}"
