"""A package file made of what is installed, for a version that no repository has any more: as `dpkg-repack` does.

Security updates leave the version before in no repository, and without it nothing could be undone. Files are as they
are on the machine, so what somebody has changed in them is kept too. It is made in a process of its own, by dpkg's
tools.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deployx_agent.releases.failure import unfit
from deployx_agent.releases.programs import Programs, python
from deployx_protocol.tasks import TaskState

_TIMEOUT_S = 3_600.0
_NOT_IN_CONTROL = ("Status", "Conffiles", "Config-Version", "Triggers-Pending", "Triggers-Awaited")
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")
_OTHERS = ("conffiles", "triggers", "shlibs", "symbols", "templates")


async def repacked(programs: Programs, name: str, folder: Path, env: Mapping[str, str]) -> Path:
    """The file that was made in ``folder``. Raises Failure."""
    into = folder / f"{name.replace(':', '_')}.repacked.deb"
    argv = python("deployx_agent.releases.repack", name, str(into))
    ending = await programs.run(argv, None, folder, env, _TIMEOUT_S, f"keep {name} as it is installed")
    if ending.state is not TaskState.SUCCEEDED:
        raise unfit(f"What is installed of {name} cannot be kept: {programs.said.splitlines()[-1:] or ['no reason']}.")
    return into


def main(name: str, into: Path) -> int:
    """Make it; the exit code."""
    root = into.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o755)
    try:
        for line in _said("dpkg-query", "-L", name).splitlines():
            if line.startswith("/") and line != "/.":
                _copy(Path(line), root)
        _control(name, root / "DEBIAN")
        subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--build", str(root), str(into)], check=True)  # noqa: S603, S607
        with into.open("rb") as file:
            os.fsync(file.fileno())
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


def _copy(source: Path, root: Path) -> None:
    """With owner, mode and times; what is gone from the machine is left out."""
    into = root / source.relative_to("/")
    try:
        found = source.lstat()
    except FileNotFoundError:
        return
    if source.is_symlink():
        into.symlink_to(os.readlink(source))  # noqa: PTH115
    elif source.is_dir():
        into.mkdir(exist_ok=True)
        into.chmod(found.st_mode & 0o7777)
    elif source.is_file():
        shutil.copy2(source, into)
    else:
        return
    os.lchown(into, found.st_uid, found.st_gid)
    if not into.is_symlink():
        into.chmod(found.st_mode & 0o7777)


def _control(name: str, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    fields = re.split(r"\n(?=\S)", _said("dpkg-query", "-s", name).strip())
    kept = [one for one in fields if one.partition(":")[0] not in _NOT_IN_CONTROL]
    descriptor = os.open(folder / "control", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(kept) + "\n")
    for part in (*_SCRIPTS, *_OTHERS):
        if (path := _said("dpkg-query", "--control-path", name, part, may_fail=True).strip()) and Path(path).is_file():
            shutil.copyfile(path, folder / part)
            (folder / part).chmod(0o755 if part in _SCRIPTS else 0o644)


def _said(*argv: str, may_fail: bool = False) -> str:
    done = subprocess.run(argv, capture_output=True, check=not may_fail, text=True)  # noqa: S603
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
