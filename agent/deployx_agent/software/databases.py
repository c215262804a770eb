"""The package databases of the systems, each read as it lies on the disk where that can be done.

Each reader yields (name, version, architecture), or None where the machine has no such database; what it cannot make
sense of it leaves out. A database that is there and cannot be read raises OSError.
"""

import plistlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

Found = tuple[str, str, str]
RPM_TIMEOUT_S = 60.0
_RPM_FORMAT = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"


def dpkg(root: Path) -> Iterator[Found] | None:
    """Debian and its kin: what is installed, also what is held; not what only left its settings."""
    path = root / "var/lib/dpkg/status"
    return _dpkg(path) if path.is_file() else None


def _dpkg(path: Path) -> Iterator[Found]:
    fields: dict[str, str] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line == "\n":
                yield from _of_stanza(fields)
                fields = {}
            elif line[0] not in " \t":
                name, _, value = line.partition(":")
                fields[name] = value.strip()
    yield from _of_stanza(fields)


def _of_stanza(fields: dict[str, str]) -> Iterator[Found]:
    if fields.get("Status", "").split()[1:] == ["ok", "installed"]:
        yield fields.get("Package", ""), fields.get("Version", ""), fields.get("Architecture", "")


def apk(root: Path) -> Iterator[Found] | None:
    """Alpine."""
    places = (root / "lib/apk/db/installed", root / "usr/lib/apk/db/installed")
    path = next((place for place in places if place.is_file()), None)
    return _apk(path) if path else None


def _apk(path: Path) -> Iterator[Found]:
    fields: dict[str, str] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in [*lines, "\n"]:
            if line == "\n":
                if fields:
                    yield fields.get("P", ""), fields.get("V", ""), fields.get("A", "")
                fields = {}
            else:
                name, _, value = line.partition(":")
                fields.setdefault(name, value.strip())


def rpm(root: Path) -> Iterator[Found] | None:
    """Red Hat, SUSE and their kin, by `rpm` itself: its database has had three forms."""
    places = ("var/lib/rpm", "usr/lib/sysimage/rpm")
    if not any((root / place).is_dir() and any((root / place).iterdir()) for place in places):
        return None
    words = ["rpm", "--query", "--all", "--queryformat", _RPM_FORMAT]
    if root != Path("/"):
        words += ["--root", str(root)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=RPM_TIMEOUT_S, check=False)  # noqa: S603 - words of ours
    except FileNotFoundError:  # the folder alone is on many a Debian
        return None
    except subprocess.TimeoutExpired:
        raise OSError(f"rpm did not answer within {RPM_TIMEOUT_S:.0f} s") from None
    if done.returncode:
        raise OSError(f"rpm said: {done.stderr.decode(errors='replace').strip()[:200]}")
    return _rpm(done.stdout.decode(errors="replace"))


def _rpm(output: str) -> Iterator[Found]:
    for line in output.splitlines():
        name, _, rest = line.partition("\t")
        version, _, arch = rest.partition("\t")
        if name != "gpg-pubkey":
            yield name, version, "" if arch == "(none)" else arch


def pkgutil(root: Path) -> Iterator[Found] | None:
    """macOS: the receipts that `pkgutil` shows."""
    folder = root / "var/db/receipts"
    return _pkgutil(folder) if sys.platform == "darwin" and folder.is_dir() else None


def _pkgutil(folder: Path) -> Iterator[Found]:
    for path in folder.glob("*.plist"):
        with suppress(OSError, ValueError, plistlib.InvalidFileException):
            receipt = plistlib.loads(path.read_bytes())
            yield str(receipt.get("PackageIdentifier", "")), str(receipt.get("PackageVersion", "")), ""


def homebrew(root: Path) -> Iterator[Found] | None:
    """Homebrew: a folder for each version of each formula and cask."""
    prefixes = ("opt/homebrew", "usr/local", "home/linuxbrew/.linuxbrew")
    folders = [root / prefix / kind for prefix in prefixes for kind in ("Cellar", "Caskroom")]
    found = [folder for folder in folders if folder.is_dir()]
    return _homebrew(found) if found else None


def _homebrew(folders: list[Path]) -> Iterator[Found]:
    for folder in folders:
        for formula in _folders(folder):
            for version in _folders(formula):
                if not version.name.startswith("."):
                    yield formula.name, version.name, ""


def _folders(path: Path) -> list[Path]:
    with suppress(OSError):
        return [one for one in path.iterdir() if one.is_dir()]
    return []


def windows(_root: Path) -> Iterator[Found] | None:
    """Windows: what its registry can uninstall, of both kinds of programs."""
    return _windows() if sys.platform == "win32" else None


def _windows() -> Iterator[Found]:
    if sys.platform != "win32":  # for whoever checks types elsewhere
        return
    import winreg

    kinds = ((winreg.KEY_WOW64_64KEY, "x86_64"), (winreg.KEY_WOW64_32KEY, "x86"))
    for view, arch in kinds:
        access = winreg.KEY_READ | view
        with suppress(OSError):
            top = winreg.OpenKey(
                winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall", 0, access
            )
            for number in range(winreg.QueryInfoKey(top)[0]):
                with suppress(OSError), winreg.OpenKey(top, winreg.EnumKey(top, number), 0, access) as key:
                    said = {}
                    for name in ("DisplayName", "DisplayVersion", "SystemComponent", "ParentKeyName"):
                        with suppress(OSError):
                            said[name] = winreg.QueryValueEx(key, name)[0]
                    if not said.get("SystemComponent") and not said.get("ParentKeyName"):
                        yield str(said.get("DisplayName", "")), str(said.get("DisplayVersion", "")) or "0", arch


READERS: dict[str, Callable[[Path], Iterator[Found] | None]] = {
    "dpkg": dpkg,
    "rpm": rpm,
    "apk": apk,
    "pkgutil": pkgutil,
    "homebrew": homebrew,
    "windows": windows,
}
"""By the name that the server knows each by."""
