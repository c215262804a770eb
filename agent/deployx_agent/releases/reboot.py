"""Whether the machine asks to be restarted, and what restarts it."""

import shutil
import sys
from pathlib import Path
from typing import Final

from deployx_agent.releases.programs import Programs

COMMANDS: Final = {"win32": ("shutdown", "/r", "/t", "0"), "darwin": ("shutdown", "-r", "now")}
_LINUX: Final = ("systemctl", "reboot")
_WISHES: Final = (Path("/run/reboot-required"), Path("/var/run/reboot-required"))


def command() -> tuple[str, ...]:
    """What restarts this machine."""
    if sys.platform == "linux" and not Path("/run/systemd/system").is_dir():
        return ("shutdown", "-r", "now")
    return COMMANDS.get(sys.platform, _LINUX)


async def is_needed(programs: Programs) -> bool:
    """What the system says: a file on Debian and its kin, a program on Fedora and its kin."""
    if any(wish.exists() for wish in _WISHES):
        return True
    if shutil.which("needs-restarting") is None:
        return False
    code, _ = await programs.asked("needs-restarting", "-r")
    return code == 1
