"""Reading the small files in which Linux publishes facts."""

from pathlib import Path

_LONGEST_BYTES = 65_536


def text(path: Path) -> str:
    """The file's stripped text, or an empty string when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_BYTES).decode("utf-8", "replace").strip().strip("\x00")
    except OSError:
        return ""


def names(folder: Path) -> list[str]:
    """The sorted names in ``folder``, none when it cannot be read."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
