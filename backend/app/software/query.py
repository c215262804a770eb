"""What somebody looks for: `openssl`, `openssl<3.0.13`, `linux-image-*>=6.1,<6.1.90`, `"Google Chrome"<120`.

    query      = name *( "," ) comparison …      the first comparison follows the name at once
    name       = word | '"' any characters '"'   `*` stands for any characters
    comparison = ( "<" | "<=" | "=" | "==" | "!=" | ">" | ">=" ) version

Invariant: whatever the text is, ``parse`` answers or raises InvalidInput, whose sentence says what may stand there.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import InvalidInput
from app.software.versions import compare_as_written
from deployx_protocol.software import NAME_MAX, VERSION_MAX, Source

TEXT_MAX = 500
COMPARISONS_MAX = 5
WILDCARDS_MAX = 5
_NAME = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<word>[^\s<>=!,"]+))\s*')
_COMPARISON = re.compile(r"\s*(?P<sign><=|>=|==|!=|<|>|=)\s*(?P<version>[^\s<>=!,\"]+)\s*(?P<comma>,?)")
_FORM = "write a name, and what its version is compared with: openssl, openssl<3.0.13 or nginx>=1.22,<1.24"
_HOLDS: dict[str, Callable[[int], bool]] = {
    "<": lambda found: found < 0,
    "<=": lambda found: found <= 0,
    "=": lambda found: found == 0,
    "==": lambda found: found == 0,
    "!=": lambda found: found != 0,
    ">": lambda found: found > 0,
    ">=": lambda found: found >= 0,
}


@dataclass(frozen=True, slots=True)
class Query:
    """A name in ``parts``, with any characters between each two, and comparisons that all have to hold."""

    parts: tuple[str, ...]
    comparisons: tuple[tuple[str, str], ...] = ()

    @property
    def exact(self) -> str | None:
        """The name, if there is no wildcard in it."""
        return self.parts[0] if len(self.parts) == 1 else None

    def matches(self, source: Source, version: str) -> bool:
        """Whether an installed ``version`` is what is looked for."""
        return all(_HOLDS[sign](compare_as_written(source, version, wanted)) for sign, wanted in self.comparisons)


def parse(text: str) -> Query:
    """The query that ``text`` stands for. Raises InvalidInput."""
    if len(text) > TEXT_MAX:
        raise _invalid(f"A query has at most {TEXT_MAX} characters.")
    named = _NAME.match(text)
    name = (named["quoted"] if named["quoted"] is not None else named["word"]) if named else ""
    if not named or not name.strip("* "):
        raise _invalid(f"The query names no package; {_FORM}.")
    if len(name) > NAME_MAX or name.count("*") > WILDCARDS_MAX or not name.isprintable():
        raise _invalid(f"A name has at most {NAME_MAX} characters that can be shown, {WILDCARDS_MAX} of them *.")
    comparisons: list[tuple[str, str]] = []
    at, more = named.end(), named.end() < len(text)
    while more:
        found = _COMPARISON.match(text, at)
        if not found:
            raise _invalid(f"What stands at character {at + 1} is no comparison; {_FORM}.")
        if len(found["version"]) > VERSION_MAX or not found["version"].isprintable():
            raise _invalid(f"A version has at most {VERSION_MAX} characters that can be shown.")
        comparisons.append((found["sign"], found["version"]))
        at = found.end()
        more = at < len(text) or bool(found["comma"])
        if more and not found["comma"]:
            raise _invalid(f"Between comparisons comes a comma, at character {at + 1}; {_FORM}.")
    if len(comparisons) > COMPARISONS_MAX:
        raise _invalid(f"A query has at most {COMPARISONS_MAX} comparisons.")
    return Query(tuple(re.sub(r"\*+", "*", name).split("*")), tuple(comparisons))


def _invalid(sentence: str) -> InvalidInput:
    return InvalidInput(sentence, code="invalid_query")
