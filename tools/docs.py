"""Writes the documents that come from the code; with `--check` it only says which of them are out of date."""

import sys
from pathlib import Path

from documents import configuration, protocol, threats

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_THREATS = _DOCS / "threats-and-faults.md"


def main(arguments: list[str]) -> int:
    """0, or 1 when `--check` finds a page that the code no longer makes."""
    pages = {
        _DOCS / "protocol.md": protocol.render(),
        _DOCS / "configuration.md": configuration.render(),
        _THREATS: threats.fill(_THREATS.read_text(encoding="utf-8")),
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        if stale:
            names = " and ".join(f"docs/{path.name}" for path in stale)
            verb = "says" if len(stale) == 1 else "say"
            print(
                f"{names} no longer {verb} what the code does: run `.venv/bin/python tools/docs.py`.", file=sys.stderr
            )
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
        print(f"Wrote docs/{path.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
