"""The bundle of a version of the agent: the wheels that `make wheels` has made, and those of all that it needs.

Invariants: each wheel that is not ours has a hash of the lock beside it, and each package of the lock has a wheel; the
same wheels make the same bytes.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deployx_cli.errors import CommandError
from deployx_protocol.updates import BUNDLE_MAX_BYTES

LOCK = "agent.txt"
PACKAGES = "packages"
_OWN = ("deployx_protocol", "deployx_agent")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_SYSTEMS = {"manylinux": "linux", "musllinux": "linux", "linux": "linux", "macosx": "darwin", "win": "windows"}
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Wheels:
    """A version, and the files that it is made of."""

    version: str
    files: tuple[Path, ...]

    @property
    def platforms(self) -> list[str]:
        """What machines it is for, by its binary wheels; all of them if there are none."""
        found: set[str] = set()
        for tag in (tag for path in self.files for tag in path.stem.rsplit("-", 1)[-1].split(".")):
            system = next((name for start, name in _SYSTEMS.items() if tag.startswith(start)), "")
            machines = {name for end, name in _ARCHITECTURES.items() if tag.endswith(end)}
            machines |= {"x86_64", "arm64"} if tag.endswith("universal2") else set()
            found |= {f"{system}/{machine}" for machine in machines if system}
        return sorted(found) or ["darwin", "linux", "windows"]


def gathered(folder: Path) -> Wheels:
    """The wheels in ``folder``. Raises CommandError with what is missing, and how to get it."""
    files = sorted(path for place in (folder, folder / PACKAGES) for path in place.glob("*.whl"))
    ours = {name: [path for path in files if path.name.startswith(f"{name}-")] for name in _OWN}
    for name, found in ours.items():
        if len(found) != 1:
            raise CommandError(f"{folder} has {len(found) or 'no'} wheels of {name}, and needs one; run: make wheels")
    try:
        lock = (folder / LOCK).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{folder / LOCK} cannot be read ({error.strerror}); run: make wheels") from None
    others = [path for path in files if not any(path in found for found in ours.values())]
    hashes, there = set(_HASH.findall(lock)), {_package(path.name.split("-")[0]) for path in others}
    for path in others:
        if sha256_of(path) not in hashes:
            raise CommandError(f"{path} is not what {LOCK} names; remove it, or fetch it anew.")
    missing = [name for name, _ in _PIN.findall(lock) if _package(name) not in there]
    if missing:
        raise CommandError(
            f"{folder / PACKAGES} lacks {', '.join(missing)}; fetch them, for each platform and Python of yours, with: "
            f"pip download --require-hashes --only-binary :all: -r {folder / LOCK} -d {folder / PACKAGES}"
        )
    return Wheels(ours["deployx_agent"][0].name.split("-")[1], tuple(files))


def write(wheels: Wheels, path: Path) -> None:
    """Make the bundle. Raises CommandError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for member, file in _members(wheels):
                with file.open("rb") as content:
                    tar.addfile(member, content)
        if path.stat().st_size > BUNDLE_MAX_BYTES:
            raise CommandError(f"{path} has more than the {BUNDLE_MAX_BYTES >> 20} MiB that an agent takes.")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None


def _members(wheels: Wheels) -> Iterator[tuple[tarfile.TarInfo, Path]]:
    for file in wheels.files:
        member = tarfile.TarInfo(file.name)
        member.size = file.stat().st_size
        yield member, file


def _package(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def sha256_of(path: Path) -> str:
    """Of what the file holds. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
