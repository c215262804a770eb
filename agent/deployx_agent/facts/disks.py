"""Fingerprint fact of the disks: the serials of those that stay in the machine."""

from pathlib import Path

from deployx_agent.facts import files

_VIRTUAL = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "zd")


def read(root: Path) -> dict[str, str]:
    """`disks`, when at least one fixed disk tells its serial."""
    serials = []
    for name in files.names(root / "sys/block"):
        folder = root / "sys/block" / name
        if name.startswith(_VIRTUAL) or files.text(folder / "removable") == "1":
            continue
        candidates = ("serial", "device/serial", "wwid", "device/wwid", "device/cid")
        serials.append(next((found for path in candidates if (found := files.text(folder / path))), ""))
    known = sorted(filter(None, serials))
    return {"disks": "\n".join(known)} if known else {}
