"""What vouches for a version of the agent: how it is called in the TUF metadata that a release of it brings along.

The metadata travel as one artifact: a JSON object, file name → content, with every root but the first that an agent may
have to walk through, the timestamp, the snapshot and the targets. Whoever hands it on needs no key, and has none.
"""

from typing import Any, Final

from deployx_protocol.releases import VERSION

METADATA_MAX_BYTES: Final = 4 << 20
BUNDLE_MAX_BYTES: Final = 256 << 20
UNPACKED_MAX_BYTES: Final = 1 << 30
ENTRY: Final = "deployx_agent/update/entry.py"
"""What has to be in every bundle: the launcher of any version starts the one in the slot there."""


def target_of(version: str) -> str:
    """The target path of a version."""
    return f"deployx-agent-{version}.tar"


def custom_of(version: str, number: int) -> dict[str, Any]:
    """What a target says of itself. ``number`` grows with each version that is added: nothing goes below it."""
    return {"version": version, "number": number}


def read_custom(custom: object) -> tuple[str, int]:
    """Version and number. Raises ValueError."""
    if isinstance(custom, dict):
        version, number = custom.get("version"), custom.get("number")
        if isinstance(version, str) and VERSION.fullmatch(version) and type(number) is int and number > 0:
            return version, number
    raise ValueError("the target says neither its version nor its number")
