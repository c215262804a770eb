"""Is every locked version at least the one that `requirements/floors.txt` asks for?

A lock is resolved again from time to time, and a range somewhere may lead it back to a version with a known hole. The
floors stand in one file, which no resolver writes. Invariant: a floor names something that is locked; one that names
nothing protects nothing, and is refused as well.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bootstrap.places import REQUIREMENTS

FLOORS = "floors.txt"
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)")


def main(folder: Path = REQUIREMENTS) -> int:
    """Say what is wrong in ``folder``, a line each; the exit code."""
    wrong = complaints(folder)
    for one in wrong:
        print(one)
    return 1 if wrong else 0


def complaints(folder: Path) -> list[str]:
    """A sentence for each version below its floor, and for each floor that cannot be held."""
    floors, found = _floors(folder / FLOORS)
    used: set[str] = set()
    for lock in sorted(folder.glob("*.txt")):
        if lock.name == FLOORS:
            continue
        for name, version in _locked(lock):
            floor = floors.get(name)
            used.add(name)
            if floor is not None and version < floor:
                found.append(f"{lock.name} locks {name} {version}, which is below {floor}: run `make lock`.")
    found += [f"{FLOORS} names {name}, which no lock has: take the line out." for name in sorted(set(floors) - used)]
    return found


def _floors(file: Path) -> tuple[dict[str, Version], list[str]]:
    floors: dict[str, Version] = {}
    wrong: list[str] = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        floor = _floor(text)
        if floor is None:
            wrong.append(f"{FLOORS}, line {number}: write `name>=version`, not `{text}`.")
        elif floor[0] in floors:
            wrong.append(f"{FLOORS}, line {number}: {floor[0]} has a floor already.")
        else:
            floors[floor[0]] = floor[1]
    return floors, wrong


def _floor(text: str) -> tuple[str, Version] | None:
    try:
        asked = Requirement(text)
    except InvalidRequirement:
        return None
    bounds = list(asked.specifier)
    if len(bounds) != 1 or bounds[0].operator != ">=" or asked.marker or asked.extras:
        return None
    return canonicalize_name(asked.name), Version(bounds[0].version)


def _locked(lock: Path) -> Iterator[tuple[str, Version]]:
    """Each pin of a lock; a package may be pinned twice, for different machines."""
    for line in lock.read_text().splitlines():
        if pinned := _PINNED.match(line):
            yield canonicalize_name(pinned[1]), Version(pinned[2])


if __name__ == "__main__":
    sys.exit(main())
