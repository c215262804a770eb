"""What the members of an archive may be: names that stay inside, links that stay inside, nothing but files and folders.

Pure, and the same for who makes a release and for the device that unpacks it. Invariant: whatever order members come
in, and whatever links they make, nothing is written or pointed to outside of the folder that is unpacked into.
"""

import stat
from enum import StrEnum

from deployx_protocol.checks import InvalidPayload

MEMBERS_MAX = 200_000
NAME_MAX = 1_024
_RIGHTS = stat.S_ISUID | stat.S_ISGID


class MemberKind(StrEnum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    OTHER = "other"  # a device, a pipe, a socket: nothing that a release brings along


class Members:
    """Takes the members of one archive, one after the other. ``strip``: how many leading folders are dropped."""

    def __init__(self, strip: int, unpacked_max_bytes: int) -> None:
        self._strip = strip
        self._left = unpacked_max_bytes
        self._max = unpacked_max_bytes
        self._count = 0
        self._links: set[str] = set()
        self._folders: set[str] = set()
        """Everything that another member lies in."""
        self.kept = 0
        """How many are unpacked."""

    def take(self, name: str, kind: MemberKind, *, target: str = "", size: int = 0, mode: int = 0) -> str | None:
        """Where a member goes, from the folder that is unpacked into; None: nowhere, all of its name is dropped.

        Raises InvalidPayload for one that must not be unpacked.
        """
        self._count += 1
        if self._count > MEMBERS_MAX:
            raise InvalidPayload(f"The archive has more than {MEMBERS_MAX:,} members.")
        shown = ascii(name[:80])
        if kind is MemberKind.OTHER:
            raise InvalidPayload(f"{shown} in the archive is a device or a pipe.")
        if mode & _RIGHTS and kind in (MemberKind.FILE, MemberKind.FOLDER):
            raise InvalidPayload(f"{shown} in the archive would have the rights of its owner (setuid, setgid).")
        self._left -= max(size, 0)
        if self._left < 0:
            raise InvalidPayload(f"The archive unpacks to more than {self._max:,} bytes, with {shown} at the latest.")
        parts = self._inside(name, shown)[self._strip :]
        if not parts:
            return None
        path = "/".join(parts)
        self._not_through_a_link(parts, path, kind, shown)
        if kind is MemberKind.SYMLINK:
            self._stays(parts, target, shown)
        elif kind is MemberKind.HARDLINK and not self.inside(target):
            raise InvalidPayload(f"{shown} in the archive is a link to what is not unpacked.")
        self.kept += 1
        return path

    def inside(self, target: str) -> str:
        """Where what a hard link names goes; empty: nowhere. Raises InvalidPayload."""
        return "/".join(self._inside(target, ascii(target[:80]))[self._strip :])

    def _not_through_a_link(self, parts: list[str], path: str, kind: MemberKind, shown: str) -> None:
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        if not self._links.isdisjoint(above) or (path in self._links and kind is not MemberKind.SYMLINK):
            raise InvalidPayload(f"{shown} in the archive would be written through a link.")
        self._folders.update(above)
        if kind is MemberKind.SYMLINK:
            if path in self._folders:
                raise InvalidPayload(f"{shown} in the archive is a link, and a folder as well.")
            self._links.add(path)

    @staticmethod
    def _inside(name: str, shown: str) -> list[str]:
        if not name or len(name) > NAME_MAX or "\x00" in name:
            raise InvalidPayload(f"{shown} in the archive has no name that can be used.")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or name[1:2] == ":" or "\\" in name:
            raise InvalidPayload(f"{shown} in the archive leads out of the folder that it is unpacked into.")
        return parts

    @staticmethod
    def _stays(parts: list[str], target: str, shown: str) -> None:
        """`..` counts at the beginning alone: behind a folder that is itself a link it could lead anywhere."""
        steps = [part for part in target.split("/") if part not in ("", ".")]
        ups = 0
        while ups < len(steps) and steps[ups] == "..":
            ups += 1
        if not target or "\x00" in target or target.startswith("/") or "\\" in target or target[1:2] == ":":
            raise InvalidPayload(f"{shown} in the archive is a link to {target[:80]!a}, which is no place inside.")
        if ups > len(parts) - 1 or ".." in steps[ups:]:
            raise InvalidPayload(f"{shown} in the archive is a link that leads out, to {target[:80]!a}.")
