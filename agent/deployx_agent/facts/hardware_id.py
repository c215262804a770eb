"""The hardware UUID: DMI product_uuid or /etc/machine-id on Linux, IOPlatformUUID on macOS, MachineGuid on Windows.

Invariant: an id that many machines share is no id. Boards leave the factory with zeros, with all bits set, with
counting digits or with "Not Settable"; those are refused, and the caller falls back.
"""

import sys
from pathlib import Path
from uuid import UUID

from deployx_agent.facts import files

_SHARED = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "01234567-8910-1112-1314-151617181920",
        "01234567-89ab-cdef-0123-456789abcdef",
        "03020100-0504-0706-0809-0a0b0c0d0e0f",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
        "12345678-1234-5678-1234-567812345678",
        "f0f0f0f0-0000-0000-0000-000000000000",
    }
)
_DISTINCT_BYTES_MIN = 5
"""Sixteen bytes that are unique have more distinct values than this, but for one machine in ten thousand million."""


def usable(text: str) -> str | None:
    """``text`` as a lower-case UUID with hyphens, or None when it is none or one that machines share."""
    try:
        found = UUID(text.strip().strip('"'))
    except ValueError:
        return None
    if str(found) in _SHARED or len(set(found.bytes)) < _DISTINCT_BYTES_MIN:
        return None
    return str(found)


def read(root: Path, platform: str = sys.platform) -> tuple[str, str] | None:
    """(id, where it came from), or None when this machine has no usable one."""
    readers = {"darwin": _macos, "win32": _windows}
    return readers.get(platform, _linux)(root)


def _linux(root: Path) -> tuple[str, str] | None:
    for path, source in (
        ("sys/class/dmi/id/product_uuid", "dmi"),
        ("etc/machine-id", "machine-id"),
        ("var/lib/dbus/machine-id", "machine-id"),
    ):
        if found := usable(files.text(root / path)):
            return found, source
    return None


def _macos(_root: Path) -> tuple[str, str] | None:
    import subprocess

    try:
        listing = subprocess.run(
            ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"], capture_output=True, timeout=10, check=True
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return None
    return platform_uuid(listing)


def platform_uuid(listing: str) -> tuple[str, str] | None:
    """The IOPlatformUUID in what ``ioreg`` printed."""
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == '"IOPlatformUUID"' and (found := usable(value)):
            return found, "IOPlatformUUID"
    return None


def _windows(_root: Path) -> tuple[str, str] | None:
    if sys.platform != "win32":
        return None
    import winreg

    try:
        with winreg.OpenKey(
            winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography", 0, winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        ) as key:
            found = usable(str(winreg.QueryValueEx(key, "MachineGuid")[0]))
    except OSError:
        return None
    return (found, "MachineGuid") if found else None
