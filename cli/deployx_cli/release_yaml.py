"""YAML as far as a manifest needs it: mappings, lists and texts, each with its place in the file.

Nothing is guessed: what a text means is said by who reads it, so `version: 1.20` keeps its nought. Invariants: what is
read is bounded, by size, depth and number, before any of it is built; no anchors, no tags, no second document.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

SIZE_MAX_BYTES = 262_144
DEPTH_MAX = 12
NODES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Counted from 1."""

    line: int
    column: int


class Fault(Exception):
    """Something is wrong, there. ``sentence`` says what, and what to do."""

    def __init__(self, place: Place, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place
        self.sentence = sentence


class Faults(Exception):
    """All that is wrong with a file."""

    def __init__(self, found: list[Fault]) -> None:
        super().__init__()
        self.found = sorted(found, key=lambda fault: (fault.place.line, fault.place.column))


@dataclass(frozen=True, slots=True)
class Node:
    """A value: exactly one of a text, a list and a mapping; an empty one that was not quoted is nothing."""

    place: Place
    text: str | None = None
    items: "list[Node] | None" = None
    pairs: "dict[str, tuple[Node, Node]] | None" = None
    """Key → the key and its value."""
    quoted: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was written there."""
        return self.text is not None and not self.quoted and self.text in ("", "~", "null")

    @property
    def kind(self) -> str:
        """As people call it."""
        return "a list" if self.items is not None else "a mapping" if self.pairs is not None else "text"


@dataclass(slots=True)
class _Reader:
    events: Iterator[Any]
    count: int = 0
    faults: list[Fault] = field(default_factory=list)

    def value(self, event: Any, depth: int) -> Node:
        self.count += 1
        place = _place(event)
        if depth > DEPTH_MAX:
            raise Fault(place, f"This is nested deeper than {DEPTH_MAX} levels.")
        if self.count > NODES_MAX:
            raise Fault(place, f"The file has more than {NODES_MAX:,} values.")
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise Fault(place, "Anchors and aliases (& and *) are not understood here; write the value out.")
        if event.tag not in (None, "!"):
            raise Fault(place, f"The tag {event.tag[:40]!r} is not understood here; leave it out.")
        if isinstance(event, yaml.ScalarEvent):
            return Node(place, text=event.value, quoted=event.style is not None)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                items.append(self.value(inner, depth + 1))
            return Node(place, items=items)
        return Node(place, pairs=self._pairs(depth))

    def _pairs(self, depth: int) -> dict[str, tuple[Node, Node]]:
        pairs: dict[str, tuple[Node, Node]] = {}
        while not isinstance(inner := next(self.events), yaml.MappingEndEvent):
            key = self.value(inner, depth + 1)
            value = self.value(next(self.events), depth + 1)
            if key.text is None:
                raise Fault(key.place, f"A key has to be text, and this is {key.kind}.")
            if key.text == "<<":
                raise Fault(key.place, "Merging (<<) is not understood here; write the keys out.")
            if key.text in pairs:
                first = pairs[key.text][0].place.line
                self.faults.append(Fault(key.place, f"`{key.text[:60]}` stands in line {first} already."))
                continue
            pairs[key.text] = (key, value)
        return pairs


def read(raw: bytes) -> Node:
    """The one value in ``raw``. Raises Faults."""
    try:
        return _read(raw)
    except Fault as fault:
        raise Faults([fault]) from None


def _read(raw: bytes) -> Node:
    if len(raw) > SIZE_MAX_BYTES:
        raise Fault(Place(1, 1), f"The file has {len(raw):,} bytes; at most {SIZE_MAX_BYTES:,} are allowed.")
    text = _text(raw)
    events = iter(yaml.parse(io.StringIO(text), Loader=yaml.SafeLoader))
    reader = _Reader(events)
    try:
        next(events)  # the stream begins
        if isinstance(next(events), yaml.StreamEndEvent):
            raise Fault(Place(1, 1), "The file is empty.")
        found = reader.value(next(events), 0)
        next(events)  # the document ends
        if not isinstance(another := next(events), yaml.StreamEndEvent):
            raise Fault(_place(another), "The file holds more than one document (---); one is a release.")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        raise Fault(place, f"This is not YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise Fault(Place(1, 1), f"This is not YAML: {str(error).splitlines()[0]}.") from None
    if reader.faults:
        raise Faults(reader.faults)
    return found


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Fault(Place(raw.count(b"\n", 0, error.start) + 1, 1), "This is not UTF-8 text.") from None
    for at, character in enumerate(text):
        if not (character.isprintable() or character in "\n\r\t"):
            line = text.count("\n", 0, at) + 1
            column = at - (text.rfind("\n", 0, at) + 1) + 1
            what = "a NUL character" if character == "\x00" else f"the character U+{ord(character):04X}"
            raise Fault(Place(line, column), f"There is {what} here, which cannot be shown.")
    return text


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)
