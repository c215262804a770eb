"""What was set up, and from what: the next set-up does only what changed.

Invariant: a stamp is written after its step has succeeded, inside (or beside) what it vouches for, so that deleting or
breaking the result also loses the stamp.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from bootstrap.places import ROOT


def digest(paths: Iterable[Path]) -> str:
    """One hash of all these files: their names and their contents."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        name = path.relative_to(ROOT).as_posix().encode()
        content = hashlib.sha256(path.read_bytes()).digest()
        whole.update(len(name).to_bytes(4, "big") + name + content)
    return whole.hexdigest()


class Stamps:
    """The stamps of one result, in a JSON file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            loaded = json.loads(file.read_text())
        except (OSError, ValueError):
            loaded = {}
        self._values: dict[str, str] = loaded if isinstance(loaded, dict) else {}

    def matches(self, name: str, value: str) -> bool:
        """Whether this step was done from exactly this."""
        return self._values.get(name) == value

    def put(self, name: str, value: str) -> None:
        """Remember that the step is done."""
        self._values[name] = value
        self._write()

    def drop(self, name: str) -> None:
        """Forget a step, before its result is touched."""
        if self._values.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(self._file.name + ".part")
        partial.write_text(json.dumps(self._values, indent=1, sort_keys=True) + "\n")
        partial.replace(self._file)
