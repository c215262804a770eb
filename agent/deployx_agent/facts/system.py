"""What people like to know about the machine: system, kernel, architecture, processors, memory, host name."""

import os
import socket
import sys
from pathlib import Path

from deployx_agent.facts import files
from deployx_protocol import checks, limits

_PLATFORMS = {"win32": "windows", "cygwin": "windows", "darwin": "macos"}


def platform_name() -> str:
    """`linux`, `macos`, `windows`, or what Python calls anything else."""
    return _PLATFORMS.get(sys.platform, sys.platform)


def hostname() -> str:
    """The host name as it may be sent: one printable line."""
    try:
        return checks.printable(socket.gethostname(), "hostname", limits.HOSTNAME_MAX)
    except checks.InvalidPayload:
        return "unnamed"


def read(root: Path) -> dict[str, str]:
    """`os`, `kernel`, `arch`, `cpus`, `memory_bytes` and `python`, as far as they can be read and shown."""
    found = {
        "os": _os_name(root),
        "kernel": _uname("release"),
        "arch": _uname("machine"),
        "cpus": str(os.cpu_count() or ""),
        "memory_bytes": _memory_bytes(root),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }
    return {name: value for name, value in found.items() if value and _can_be_sent(value)}


def _can_be_sent(value: str) -> bool:
    try:
        checks.printable(value, "fact", limits.FACT_VALUE_MAX)
    except checks.InvalidPayload:
        return False
    return True


def _uname(field: str) -> str:
    if hasattr(os, "uname"):
        return str(getattr(os.uname(), field))
    import platform

    return platform.machine() if field == "machine" else platform.version()


def _os_name(root: Path) -> str:
    if platform_name() == "linux":
        for path in ("etc/os-release", "usr/lib/os-release"):
            for line in files.text(root / path).splitlines():
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip("\"'")
        return "Linux"
    import platform

    if platform_name() == "macos":
        return f"macOS {platform.mac_ver()[0]}".strip()
    return f"{platform.system()} {platform.release()}".strip()


def _memory_bytes(root: Path) -> str:
    for line in files.text(root / "proc/meminfo").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemTotal":
            return str(int(amount.split()[0]) * 1024)
    try:
        return str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return ""
