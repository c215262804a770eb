"""Unpacks a bundle into a slot: of each package the wheel that fits this Python and machine, as one folder of modules.

What is unpacked was vouched for before (``trust``); still no name leads out of the folder, and its size is bounded.
"""

import os
import platform
import re
import shutil
import stat
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from deployx_agent.state.durable import sync_folder
from deployx_protocol.updates import ENTRY, UNPACKED_MAX_BYTES

DISK_RESERVE_BYTES = 64 << 20
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-(?P<py>[^-]+)-(?P<abi>[^-]+)-(?P<plat>[^-]+)\.whl"
)
_DATA = re.compile(r"[^/]+\.data/(?:purelib|platlib)/(.+)")


class Unfit(Exception):
    """It cannot be installed here; the sentence says why."""


def unpack(bundle: Path, site: Path) -> None:
    """Make ``site`` of ``bundle``; what was there is gone. Durable when it returns. Raises Unfit, OSError."""
    shutil.rmtree(site.parent, ignore_errors=True)
    site.mkdir(mode=0o700, parents=True)
    limit = _Limit(site)
    try:
        with tarfile.open(bundle, "r:") as tar:
            wheels = {member.name: member for member in tar if member.isfile() and _WHEEL.fullmatch(member.name)}
            for name in chosen(list(wheels)):
                file = tar.extractfile(wheels[name])
                if file is None:
                    raise Unfit(f"{name} in the bundle is no file.")
                _unpack_wheel(file, site, limit)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise Unfit(f"The bundle cannot be unpacked ({error}).") from None
    if not (site / ENTRY).is_file():
        raise Unfit("The bundle has no agent that can be started from a slot.")
    for folder in (site, *(path for path in site.rglob("*") if path.is_dir()), site.parent, site.parents[1]):
        sync_folder(folder)


class _Limit:
    """Counts what is really there."""

    def __init__(self, site: Path) -> None:
        self._left = min(UNPACKED_MAX_BYTES, shutil.disk_usage(site).free - DISK_RESERVE_BYTES)

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Unfit("There is no room for the bundle on the disk of the state folder; make some.")


def _unpack_wheel(file: IO[bytes], site: Path, limit: _Limit) -> None:
    with zipfile.ZipFile(file) as wheel:
        for info in wheel.infolist():
            name = info.filename
            if ".data/" in name:
                found = _DATA.fullmatch(name)
                name = found[1] if found else ""
            if not name or info.is_dir():
                continue
            parts = PurePosixPath(name).parts
            if name.startswith("/") or "\\" in name or ".." in parts or stat.S_ISLNK(info.external_attr >> 16):
                raise Unfit(f"A wheel in the bundle has the name {name[:80]!r}, which leads out of its folder.")
            path = site.joinpath(*parts)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with wheel.open(info) as source, os.fdopen(descriptor, "wb") as target:
                while piece := source.read(1 << 20):
                    limit.take(len(piece))
                    target.write(piece)
                target.flush()
                os.fsync(target.fileno())


def chosen(names: list[str]) -> list[str]:
    """Of each package the wheel that fits best. Raises Unfit when a package has none that does."""
    best: dict[str, tuple[int, str]] = {}
    packages: set[str] = set()
    for name in sorted(names):
        if (match := _WHEEL.fullmatch(name)) is None:
            continue
        package = match["name"].lower().replace(".", "_")
        packages.add(package)
        rank = max((_rank(py, match["abi"], match["plat"]) for py in match["py"].split(".")), default=0)
        if rank:
            best[package] = max(best.get(package, (0, "")), (rank, name))
    if missing := sorted(packages - set(best)):
        where = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {platform.system()} {platform.machine()}"
        raise Unfit(f"The bundle has no wheel of {', '.join(missing)} for {where}; add it to the bundle.")
    return [name for _, name in best.values()]


def _rank(python: str, abi: str, plat: str) -> int:
    """How well a wheel fits; 0: not at all."""
    if not any(_platform_fits(one) for one in plat.split(".")):
        return 0
    major, minor = sys.version_info[:2]
    own = f"cp{major}{minor}"
    abis = abi.split(".")
    if python == own and own in abis:
        return 3
    since = re.fullmatch(rf"cp{major}(\d+)", python)
    if since and int(since[1]) <= minor and "abi3" in abis:
        return 2
    return 1 if "none" in abis and python in (own, f"py{major}", f"py{major}{minor}") else 0


def _platform_fits(tag: str) -> bool:
    if tag == "any":
        return True
    machine = platform.machine().lower()
    if sys.platform == "win32":
        return tag == {"amd64": "win_amd64", "arm64": "win_arm64"}.get(machine, "win32")
    if sys.platform == "darwin":
        return tag.startswith("macosx_") and tag.endswith((machine, "universal2"))
    if not tag.endswith(f"_{machine}"):
        return False
    libc, version = platform.libc_ver()
    if tag.startswith("musllinux_"):
        return libc != "glibc"
    needed = re.match(r"manylinux_(\d+)_(\d+)_", tag)
    old = {"manylinux1_": (2, 5), "manylinux2010_": (2, 12), "manylinux2014_": (2, 17)}
    least = (int(needed[1]), int(needed[2])) if needed else old.get(tag.removesuffix(machine))
    if least is None:
        return tag == f"linux_{machine}"
    return libc == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= least
