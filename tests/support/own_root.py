"""Machines on this machine: each agent with a root file system of its own, which is this one's with a layer above it.

What an agent writes is in its layer, so twenty of them have twenty databases of packages. Only ``shared`` is the same
for all, and what it holds is real. Mounts belong to the agent's own namespace and end with it.
"""

import shlex
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
