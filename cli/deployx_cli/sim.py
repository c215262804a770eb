"""`deployx sim`: handed over to the server's package, where it is installed beside this one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deployx_cli.errors import CommandError


def hand_over(arguments: Sequence[str]) -> NoReturn:
    """Become `deployx-server sim`. Raises CommandError when there is none."""
    folder = Path(sys.executable).parent
    names = ("deployx-server.exe", "deployx-server") if os.name == "nt" else ("deployx-server",)
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None:
        text = "`deployx sim` is part of the server: install the package deployx-server beside deployx."
        raise CommandError(text)
    command = [str(found), "sim", *arguments]
    if os.name == "nt":  # there a process cannot become another one
        sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - our own program, what its user typed
    os.execv(command[0], command)  # noqa: S606
