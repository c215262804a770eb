"""A repository for the machine's real apt, with packages that do nothing, and apt settings that know no other.

The packages are really installed here: dpkg has one database. Their names begin with `deployx-test-`, and whatever is
left of them is purged when the block ends. The machine's own sources, lists and cache are not touched.
"""

import contextlib
import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_LOCK_PATIENCE_S = 120.0
_ALL = "deployx-test-"
PREFIX = f"{_ALL}{os.getpid()}-"
"""Of this process: others have their own, and dpkg makes all of them wait for each other."""
_SETTINGS = """
Dir::Etc::SourceList "{sources}/sources.list";
Dir::Etc::SourceParts "{sources}/none";
Dir::State::Lists "{folder}/lists";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""


class AptRepository:
    """In ``folder``; ``settings`` is for the variable APT_CONFIG."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "apt.conf"
        self._pool = folder / "pool"
        self._pool.mkdir(parents=True)
        (folder / "none").mkdir()
        (folder / "sources.list").write_text(f"deb [trusted=yes] file:{self._pool} ./\n")
        self.settings_in(folder)
        self._index()

    def settings_in(self, folder: Path) -> Path:
        """Settings of an apt that has lists and a cache of its own, in ``folder``."""
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        settings = folder / self.settings.name
        settings.write_text(_SETTINGS.format(folder=folder, sources=self.folder))
        return settings

    def add(self, name: str, version: str, *, depends: str = "", **scripts: str) -> Path:
        """A package with one file that has its version, and maintainer scripts such as ``postinst``."""
        root = self.folder / "build" / f"{name}-{version}"
        (root / "DEBIAN").mkdir(parents=True)
        share = root / "usr/share" / (PREFIX + name)
        share.mkdir(parents=True)
        (share / "version").write_text(version)
        settings = root / "etc" / (PREFIX + name)
        settings.mkdir(parents=True)
        (settings / "settings").write_text(f"as in {version}\n")
        (root / "DEBIAN/conffiles").write_text(f"/etc/{PREFIX + name}/settings\n")
        for script, text in scripts.items():
            (root / "DEBIAN" / script).write_text(f"#!/bin/sh\n{text}\n")
            (root / "DEBIAN" / script).chmod(0o755)
        fields = {
            "Package": PREFIX + name,
            "Version": version,
            "Architecture": "all",
            "Maintainer": "Nobody <n@localhost>",
            **({"Depends": depends} if depends else {}),
            "Description": "does nothing",
        }
        (root / "DEBIAN/control").write_text("".join(f"{field}: {value}\n" for field, value in fields.items()))
        file = self._pool / f"{PREFIX + name}_{version}_all.deb"
        _run("dpkg-deb", "--root-owner-group", "--build", str(root), str(file))
        self._index()
        return file

    def remove(self, name: str, version: str) -> None:
        """It is in the repository no more."""
        (self._pool / f"{PREFIX + name}_{version}_all.deb").unlink()
        self._index()

    def _index(self) -> None:
        entries = []
        for file in sorted(self._pool.glob("*.deb")):
            body = file.read_bytes()
            more = f"Filename: ./{file.name}\nSize: {len(body)}\nSHA256: {hashlib.sha256(body).hexdigest()}\n"
            entries.append(_run("dpkg-deb", "-f", str(file)) + more)
        (self._pool / "Packages").write_text("\n".join(entries))


def installed(name: str) -> str:
    """What dpkg's own database says: `ii VERSION`, or nothing."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f=${db:Status-Abbrev} ${Version}", PREFIX + name],
        capture_output=True,
        text=True,
        check=False,
    )
    words = done.stdout.split() if done.returncode == 0 else []
    return " ".join(words) if words and words[0] != "un" else ""


@contextlib.contextmanager
def repository(folder: Path) -> Iterator[AptRepository]:
    """One with nothing in it; nothing of it is installed after the block."""
    try:
        yield AptRepository(folder)
    finally:
        purge()


def purge() -> None:
    """Remove every package of this process, and of those that have ended, in whatever state it is."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f=${Package}\n", f"{_ALL}*"], capture_output=True, text=True, check=False
    )
    names = [name for name in done.stdout.split() if name.startswith(PREFIX) or not _lives(name)]
    if names:
        options = ["--force-remove-reinstreq", "--force-depends", "--no-triggers"]
        info = Path("/var/lib/dpkg/info")
        for script in (path for name in names for path in info.glob(f"{name}.p*") if path.suffix != ".list"):
            script.write_text("#!/bin/sh\n")  # one that fails, or waits, must not stay for ever
        give_up = time.monotonic() + _LOCK_PATIENCE_S
        while (done := _tried("dpkg", *options, "--purge", *names)).returncode and "lock" in done.stderr:
            assert time.monotonic() < give_up, done.stderr
            time.sleep(0.2)  # dpkg does not wait for who else has its lock
        assert done.returncode == 0, done.stderr


def _lives(name: str) -> bool:
    """Whether the process that made this package is there."""
    return Path("/proc", name.removeprefix(_ALL).partition("-")[0]).exists()


def _tried(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
