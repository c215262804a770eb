"""A repository for a real dnf, with packages that do nothing, and a machine on which dnf is what there is.

dnf and rpm are installed here if they are not: root on Debian gets them by apt, anyone else a sentence.
"""

import shutil
import subprocess
from pathlib import Path

from bootstrap import system
from tests.support.own_root import OwnRoot

PREFIX = "deployx-test-"
_PLUGIN = Path("/usr/lib/python3/dist-packages/dnf-plugins/download.py")
_SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: does nothing
License: none
BuildArch: noarch
{fields}
%description
Nothing.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {version} > %{{buildroot}}/usr/share/{name}/version
%files
/usr/share/{name}/version
{scripts}
"""


def ensure() -> None:
    """Have dnf. Raises SetupError."""

    def found(program: str) -> Path | None:
        path = shutil.which(program)
        return Path(path) if path else None

    programs = {
        "dnf": lambda: found("dnf"),
        "rpm": lambda: found("rpmbuild"),
        "createrepo-c": lambda: found("createrepo_c"),
        "dnf-plugins-core": lambda: _PLUGIN if _PLUGIN.exists() else None,
    }
    system.ensure_programs(programs, "The tests of dnf need")


class RpmRepository:
    """In ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = folder / "pool"
        self._pool.mkdir(parents=True)
        self.add("shell", "1.0", fields="Provides: /bin/sh")  # what scripts need, of which rpm knows nothing here

    def add(self, name: str, version: str, *, fields: str = "", **scripts: str) -> None:
        """A package with one file that has its version; ``fields`` such as `Requires: …`, scripts such as ``pre``."""
        spec = self._folder / f"{name}-{version}.spec"
        said = "\n".join(f"%{script}\n{text}" for script, text in scripts.items())
        spec.write_text(_SPEC.format(name=PREFIX + name, version=version, fields=fields, scripts=said))
        defines = {
            "_topdir": self._folder / "build",
            "_rpmdir": self._pool,
            "_build_name_fmt": "%{NAME}-%{VERSION}.rpm",
        }
        options = [part for key, value in defines.items() for part in ("--define", f"{key} {value}")]
        subprocess.run(["rpmbuild", "-bb", *options, str(spec)], check=True, capture_output=True)
        self._index()

    def remove(self, name: str, version: str) -> None:
        """It is in the repository no more."""
        (self._pool / f"{PREFIX + name}-{version}.rpm").unlink()
        self._index()

    def _index(self) -> None:
        subprocess.run(["createrepo_c", "-q", str(self._pool)], check=True, capture_output=True)

    def only_in(self, machine: OwnRoot) -> None:
        """``machine`` has dnf, knows this repository alone, and has no apt."""
        for program in ("apt-get", "apt-cache", "dpkg", "dpkg-query"):
            machine.hide(f"/usr/bin/{program}")
        machine.write("/etc/yum.repos.d/test.repo", f"[test]\nname=test\nbaseurl=file://{self._pool}\ngpgcheck=0\n")
        machine.write("/etc/dnf/plugins/local.conf", "[main]\nenabled=false\n")
        machine.write("/etc/rpm/macros.test", "%_dbpath /var/lib/rpm\n")
