"""Selectors: which devices are meant, in one line of text that reads the same in the dashboard, the API and the shell.

    platform=linux,role in (web,db),env!=prod,laptop,!legacy,group=berlin

A selector is a list of conditions, and a device has to meet all of them; ``*`` alone means every device.

    selector  = "*" | condition *( "," condition )
    condition = key                              the device has it
              | "!" key                          the device does not have it
              | key ("=" | "==") value           it has this value
              | key "!=" value                   it has another value, or none
              | key "in" "(" value *( "," value ) ")"
              | key ("notin" | "not" "in") "(" value *( "," value ) ")"
    key       = word                             a built-in key, or else the name of a tag
              | quoted                           always the name of a tag, even of one named like a built-in key
    value     = word | quoted                    in both, "*" stands for any characters, or none
    word      = 1*( letter | digit | "_" | "-" | "." | "/" | ":" | "@" | "+" | "~" | "%" | "*" )
    quoted    = '"' *( any other character | "\\\\" | '\\"' | "\\*" ) '"'

White space between these is free. Text is compared exactly, upper and lower case apart, but for ``owner``.

Built-in keys are those of ``Builtin``; where a device has nothing for one (no owner, no version), it does not have the
key. Any other word is a tag's name. A word that is nearly a built-in key (``plattform``, ``Status``) is refused as an
unknown key, for a tag that no device has silently matches nothing, or with ``!=`` everything; in quotes it is a tag.
Of a device's tags those that people set win over those of its agent's settings.
"""

import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

TEXT_MAX = 4_000
TERMS_MAX = 50
VALUE_MAX = 256
"""Characters of one value, and of a tag's name."""
WILDCARDS_MAX = 5
"""In one value."""
SYMBOLS = frozenset("_-./:@+~%")
"""What a word may have besides letters and digits."""


class Builtin(StrEnum):
    """The keys that are not tags."""

    ID = "id"
    NAME = "name"
    HOSTNAME = "hostname"
    PLATFORM = "platform"
    STATUS = "status"  # online, offline or unknown, as people see it
    AGENT_ID = "agent_id"
    TRUST = "trust"
    OS = "os"
    ARCH = "arch"
    VERSION = "version"  # of the agent
    OWNER = "owner"  # an e-mail address
    GROUP = "group"  # one of the groups of whoever asks


KEYS = {key.value: key for key in Builtin}
"""By how they are written."""


@dataclass(frozen=True, slots=True)
class Tag:
    """The name of a tag, as a key."""

    name: str

    def __str__(self) -> str:
        return self.name if is_word(self.name) and not is_reserved(self.name) else quoted(self.name)


Key = Builtin | Tag


@dataclass(frozen=True, slots=True)
class Value:
    """What a key is compared with: ``parts`` with a wildcard between each two, so that one part is exact text."""

    parts: tuple[str, ...]

    @property
    def exact(self) -> str | None:
        """The text, if there is no wildcard in it."""
        return self.parts[0] if len(self.parts) == 1 else None

    def matches(self, text: str) -> bool:
        """Whether ``text`` is what this stands for."""
        first, *rest = self.parts
        if not rest:
            return text == first
        *middle, last = rest
        if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    def __str__(self) -> str:
        if any(self.parts) and all(is_word(part) or not part for part in self.parts):
            return "*".join(self.parts)
        return "*" if self.parts == ("", "") else quoted(*self.parts)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. Without ``values``: the device has the key; with: the key has one of them. Or the opposite."""

    key: Key
    values: tuple[Value, ...] = ()
    negated: bool = False

    def __str__(self) -> str:
        if not self.values:
            return f"!{self.key}" if self.negated else str(self.key)
        if len(self.values) == 1:
            return f"{self.key}{'!=' if self.negated else '='}{self.values[0]}"
        return f"{self.key} {'notin' if self.negated else 'in'} ({','.join(map(str, self.values))})"


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that all have to hold; none of them: every device. ``str`` gives the text that reads back as this."""

    terms: tuple[Term, ...] = field(default=())

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups that it speaks of, in order, with repeats."""
        return tuple("".join(v.parts) for term in self.terms if term.key is Builtin.GROUP for v in term.values)

    @property
    def weight(self) -> int:
        """How many conditions and values it has."""
        return sum(1 + len(term.values) for term in self.terms)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms)) or "*"


def is_word(text: str) -> bool:
    """Whether ``text`` needs no quotes (and has no wildcard)."""
    return bool(text) and all(is_word_character(character) for character in text)


def is_word_character(character: str) -> bool:
    """Whether ``character`` may stand in a word."""
    return character in SYMBOLS or unicodedata.category(character)[0] in "LMN"


def is_reserved(word: str) -> bool:
    """Whether ``word``, without quotes, is not the name of a tag."""
    return word in KEYS or meant(word) is not None


def meant(word: str) -> Builtin | None:
    """The built-in key that ``word`` is a slip of: another case, a column's name, or one letter off (or two swapped).

    Short keys are not compared by letters: too many names of tags would be one letter off.
    """
    if word in KEYS:
        return None
    lowered = word.lower()
    if known := KEYS.get(lowered) or _COLUMNS.get(lowered):
        return known
    return next((key for key in Builtin if len(key) >= 5 and _one_off(lowered, key)), None)


_COLUMNS = {"device_name": Builtin.NAME, "agent_version": Builtin.VERSION, "host_name": Builtin.HOSTNAME}


def _one_off(word: str, key: str) -> bool:
    """Whether one letter was added, left out or replaced, or two neighbours were swapped."""
    if abs(len(word) - len(key)) > 1:
        return False
    start = 0
    while start < min(len(word), len(key)) and word[start] == key[start]:
        start += 1
    rest, wanted = word[start:], key[start:]
    swapped = rest[:2] == wanted[1::-1] and rest[2:] == wanted[2:]
    return swapped or rest[1:] == wanted[1:] or rest == wanted[1:] or rest[1:] == wanted


def quoted(*parts: str) -> str:
    """``parts`` in quotes, with a wildcard between each two."""
    return '"' + "*".join(_escaped(part) for part in parts) + '"'


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in '\\"*' else character for character in text)
