"""What a device printed or says of itself, made safe for a terminal.

Invariant: of what a device sends, only text, line ends, tabs and (where colour is wanted) colours reach a terminal. No
sequence that moves the cursor, sets the title, hides text or answers on the keyboard's side gets through.
"""

import json
import re
import unicodedata
from typing import Any

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, colours, modes
    r"|\x1b[\]P_^X][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, APC, PM, SOS: titles, clipboards, links
    r"|\x1b[ -/]*[0-~]"  # the short ones
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_HIDES = re.compile(r"(?:^|[;:])0*8(?:$|[;:])")
_RESET = "\x1b[0m"


def text(value: object) -> str:
    """One piece of text without control or format characters; `-` for nothing."""
    shown = "" if value is None else str(value)
    return _plain(shown) or "-"


def line(printed: str, *, colour: bool = False) -> str:
    """A line of output, without its end. Escape sequences are left out; with `colour`, those that colour stay."""
    kept: list[str] = []
    at = 0
    for found in _SEQUENCE.finditer(printed):
        kept.append(_plain(printed[at : found.start()], tabs=True))
        if colour and _COLOUR.fullmatch(found[0]) and not _hides(found[0]):
            kept.append(found[0])
        at = found.end()
    kept.append(_plain(printed[at:], tabs=True))
    whole = "".join(kept)
    return whole + _RESET if "\x1b" in whole else whole


def as_json(value: Any) -> str:
    """JSON for people and programs: readable, and nothing in it that a terminal would obey."""
    dumped = json.dumps(value, indent=2, ensure_ascii=False)
    if dumped.isascii() and "\x7f" not in dumped:
        return dumped
    return "".join(
        character if character == "\n" or not _unseen(character) else _code(character) for character in dumped
    )


def _hides(sequence: str) -> bool:
    """Whether a colour sequence is the one for hidden text; 8 within `38;5;8` is a colour, and is given up with it."""
    return _HIDES.search(sequence[2:-1]) is not None


def _plain(shown: str, *, tabs: bool = False) -> str:
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(
        character if (tabs and character == "\t") or not _unseen(character) else "\ufffd" for character in shown
    )


def _unseen(character: str) -> bool:
    """Whether it is a control, format, private or unassigned character, or half of a surrogate pair."""
    return unicodedata.category(character).startswith("C")


def _code(character: str) -> str:
    """As JSON writes it with ASCII alone."""
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else json.dumps(character)[1:-1]
