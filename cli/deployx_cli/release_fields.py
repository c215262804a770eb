"""The keys of a mapping in a manifest, read as what they have to be; each mistake is kept with its place.

Invariant: a key that nobody asks for is a mistake, and so is a value of another kind. All of them are found at once.
"""

import difflib
import shlex
from collections.abc import Callable, Iterable
from typing import TypeVar

from deployx_cli.release_yaml import Fault, Node

T = TypeVar("T")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Fields:
    """The keys of ``node``, which is ``what`` to people. ``faults`` gathers what is wrong."""

    def __init__(self, node: Node, what: str, known: Iterable[str], faults: list[Fault]) -> None:
        self.node = node
        self._faults = faults
        self._pairs = node.pairs or {}
        if node.pairs is None:
            self._faults.append(Fault(node.place, f"{what} has to be a mapping of keys to values, and is {node.kind}."))
        names = sorted(known)
        for key, (at, _) in self._pairs.items():
            if key not in names:
                near = difflib.get_close_matches(key.removesuffix("_s"), names, 1, 0.6)
                hint = f" Did you mean `{near[0]}`?" if near else f" There are {', '.join(names)}."
                self._faults.append(Fault(at.place, f"{what} has no key `{key[:60]}`.{hint}"))

    def __contains__(self, key: str) -> bool:
        return key in self._pairs and not self._pairs[key][1].is_nothing

    def at(self, key: str) -> Node:
        """Where to point for ``key``: its value, its key if it has none, or all of it."""
        if key not in self._pairs:
            return self.node
        found, value = self._pairs[key]
        return found if value.is_nothing else value

    def need(self, *keys: str) -> None:
        """That these are there."""
        for key in keys:
            if key not in self:
                self._faults.append(Fault(self.at(key).place, f"`{key}` is missing here."))

    def get(self, key: str, read: Callable[[Node], T]) -> T | None:
        """What ``key`` says; None where it says nothing, or something wrong."""
        if key not in self:
            return None
        try:
            return read(self._pairs[key][1])
        except Fault as fault:
            self._faults.append(Fault(fault.place, f"`{key}` {fault.sentence}"))
            return None

    def nested(self, key: str) -> Node | None:
        """The value of ``key`` as it stands."""
        return self._pairs[key][1] if key in self else None


def text(node: Node) -> str:
    """A text, as it stands."""
    if node.text is None:
        raise Fault(node.place, f"has to be text, and is {node.kind}.")
    if node.is_nothing:
        raise Fault(node.place, "is empty.")
    return node.text


def paragraph(node: Node) -> str:
    """A text in one line."""
    return " ".join(text(node).split())


def texts(node: Node) -> list[str]:
    """A list of texts."""
    if node.items is None:
        raise Fault(node.place, f"has to be a list, such as [a, b], and is {node.kind}.")
    return [text(item) if not _is_empty_quoted(item) else "" for item in node.items]


def words(node: Node) -> list[str]:
    """The words of a command: a list, or a text that is split as a shell would split it."""
    if node.items is not None:
        return texts(node)
    try:
        lexer = shlex.shlex(text(node), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split, lexer.commenters = True, ""
        signs = [word for word in lexer if word and not word.strip("|&;<>")]
        if signs:
            raise Fault(node.place, f"has {signs[0]}, which means something to a shell only; use `shell` for that.")
        return shlex.split(text(node))
    except ValueError:
        raise Fault(node.place, "has a quote that is not closed.") from None


def variables(node: Node) -> dict[str, str]:
    """Names and texts."""
    if node.pairs is None:
        raise Fault(node.place, f"has to be a mapping of names to texts, and is {node.kind}.")
    return {name: "" if _is_empty_quoted(value) else text(value) for name, (_, value) in node.pairs.items()}


def whole(node: Node) -> int:
    """A whole number."""
    if node.quoted or not (node.text or "").isascii() or not (node.text or "").isdigit() or len(node.text or "") > 18:
        raise Fault(node.place, f"has to be a whole number, and is {_shown(node)}.")
    return int(node.text or "")


def span(node: Node) -> float:
    """A duration in seconds: `90`, `90s`, `1.5m`, `2h`, `1d`."""
    said = node.text or ""
    number, unit = (said[:-1], said[-1]) if said[-1:] in _UNITS else (said, "s")
    try:
        found = float(number) * _UNITS[unit] if number[:1].isdigit() else 0.0
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise Fault(node.place, f"has to be a time, such as 90s, 15m or 2h, and is {_shown(node)}.")
    return found


def size(node: Node) -> int:
    """A number of bytes: `500M`, `2G`."""
    said = (node.text or "").lower().removesuffix("ib").removesuffix("b")
    number, unit = (said[:-1], said[-1]) if said[-1:] in _SIZES and said[-1:] else (said, "")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Fault(node.place, f"has to be a size, such as 500M or 2G, and is {_shown(node)}.")
    return int(number) * _SIZES[unit]


def mode(node: Node) -> str:
    """Permission bits: 0644."""
    return text(node)


def _is_empty_quoted(node: Node) -> bool:
    return node.text == "" and node.quoted


def _shown(node: Node) -> str:
    return node.kind if node.text is None else repr(node.text[:40])
