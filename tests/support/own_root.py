"""Machines on this machine: each agent with a root file system of its own, which is this one's with a layer above it.

What an agent writes is in its layer, so twenty of them have twenty databases of packages. Only ``shared`` is the same
for all, and what it holds is real. Mounts belong to the agent's own namespace and end with it.
"""

import os
import shlex
import stat
import subprocess
from pathlib import Path

_ENTER = """
set -e
mount -t overlay overlay -o lowerdir=/,upperdir={folder}/layer,workdir={folder}/work {folder}/root
mount -t proc proc {folder}/root/proc
mount --rbind /dev {folder}/root/dev
mount --bind {shared} {folder}/root{shared}
exec chroot {folder}/root "$@"
"""


class OwnRoot:
    """One of them, below ``folder``, which has to be on a real disk."""

    def __init__(self, folder: Path, shared: Path) -> None:
        self.layer = folder / "layer"
        for name in ("layer", "work", "root"):
            (folder / name).mkdir(parents=True)
        self._enter = folder / "enter.sh"
        self._enter.write_text(_ENTER.format(folder=shlex.quote(str(folder)), shared=shlex.quote(str(shared))))

    @property
    def under(self) -> list[str]:
        """What a program is started under."""
        return ["unshare", "--mount", "/bin/sh", str(self._enter)]

    def write(self, path: str, text: str) -> None:
        """Have a file there; before anything is started in it."""
        file = self.layer / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def hide(self, path: str) -> None:
        """Have no such file there, though this machine has one; before anything is started in it."""
        file = self.layer / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(file, stat.S_IFCHR, os.makedev(0, 0))  # how overlayfs writes down that a file is gone

    def text(self, path: str) -> str:
        """A file that was written there; empty if there is none."""
        file = self.layer / path.removeprefix("/")
        return file.read_text() if file.is_file() else ""

    def package(self, name: str) -> str:
        """What its own dpkg says: `ii VERSION`, or nothing."""
        database = self.layer / "var/lib/dpkg"
        if not (database / "status").exists():
            return ""
        form = "-f=${db:Status-Abbrev} ${Version}"
        done = subprocess.run(
            ["dpkg-query", f"--admindir={database}", "-W", form, name], capture_output=True, text=True, check=False
        )
        return " ".join(done.stdout.split()) if done.returncode == 0 else ""

    def rpm(self, name: str) -> list[str]:
        """The versions that its own rpm has."""
        database = self.layer / "var/lib/rpm"
        if not database.exists():
            return []
        form = "%{VERSION}-%{RELEASE}\n"
        done = subprocess.run(
            ["rpm", "--dbpath", str(database), "-q", "--qf", form, name], capture_output=True, text=True, check=False
        )
        return done.stdout.split() if done.returncode == 0 else []
