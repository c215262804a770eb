"""The hardware fingerprint: hashes of several facts, taken fresh at each start.

The server counts how many differ from last time; it never learns the facts themselves.
"""

import hashlib
import sys
from pathlib import Path

from deployx_agent.facts import board, disks, hardware_id, interfaces

_CONTEXT = b"deployx-fingerprint-v1"


def read(root: Path) -> dict[str, str]:
    """Name of each fact that could be read → its SHA-256, 64 hexadecimal digits."""
    if sys.platform in ("darwin", "win32"):
        found = hardware_id.read(root)
        facts = {"product_uuid": found[0]} if found else {}
    else:
        facts = board.read(root) | disks.read(root) | interfaces.read(root)
    return {name: digest(name, value) for name, value in sorted(facts.items())}


def digest(name: str, value: str) -> str:
    """The hash of one fact; its name is part of it, so that equal values of two facts do not look equal."""
    return hashlib.sha256(b"\x00".join((_CONTEXT, name.encode(), value.encode()))).hexdigest()
