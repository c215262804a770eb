"""From text to a ``Selector``, by the grammar of ``selectors``.

Invariant: whatever the text is, ``parse`` answers with a selector or raises InvalidSelector, whose sentence names the
character and what may stand there. No value gets through that a database or a terminal would choke on.
"""

import unicodedata
from typing import NoReturn

from app.errors import InvalidSelector
from app.groups import selectors
from app.groups.selectors import Builtin, Key, Selector, Tag, Term, Value
from deployx_protocol.states import Presence, Trust

_CHOICES = {Builtin.STATUS: tuple(Presence), Builtin.TRUST: tuple(Trust)}
_FORMS = "a condition is key, !key, key=value, key!=value, key in (a,b) or key notin (a,b)"
_UNREADABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_WILDCARD = None
_ID_MAX = 2**31 - 1


def parse(text: str) -> Selector:
    """The selector that ``text`` stands for. Raises InvalidSelector."""
    if len(text) > selectors.TEXT_MAX:
        raise InvalidSelector(f"A selector has at most {selectors.TEXT_MAX} characters.", selectors.TEXT_MAX + 1)
    return _Parser(text).selector()


class _Parser:
    """Reads ``text`` from ``at`` on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def selector(self) -> Selector:
        self.space()
        if self.ended():
            self.fail("The selector is empty; * means every device")
        if self.take("*"):
            self.space()
            if not self.ended():
                self.fail("* stands alone: it means every device; leave it out beside other conditions")
            return Selector()
        terms = [self.term()]
        while self.take(","):
            if len(terms) == selectors.TERMS_MAX:
                self.fail(f"A selector has at most {selectors.TERMS_MAX} conditions")
            self.space()
            terms.append(self.term())
        if not self.ended():
            self.unexpected(f"conditions are separated by commas, and {_FORMS}")
        return Selector(tuple(terms))

    def term(self) -> Term:
        """A condition, and the white space after it."""
        start = self.at
        if self.take("!"):
            self.space()
            key = self.key()
            if self.peek() in ("=", "!"):
                self.fail(f"! goes with a key alone; write {key}!=…")
            return self.checked(Term(key, negated=True), start)
        key = self.key()
        if self.take("!="):
            return self.checked(Term(key, (self.value(key),), negated=True), start)
        if self.take("==") or self.take("="):
            return self.checked(Term(key, (self.value(key),)), start)
        negated = self.keyword("notin") or (self.keyword("not") and self.must_follow("in"))
        if negated or self.keyword("in"):
            return self.checked(Term(key, self.values(key), negated), start)
        return self.checked(Term(key), start)

    def key(self) -> Key:
        """A key, and the white space after it."""
        start = self.at
        in_quotes = self.peek() == '"'
        parts = self.word(_FORMS)
        if _WILDCARD in parts:
            self.fail("A key has no *; in quotes, write \\* for the character itself", start)
        name = "".join(part or "" for part in parts)
        if in_quotes:
            return Tag(name) if name else self.fail("The name of a tag is not empty", start)
        if name in selectors.KEYS:
            return selectors.KEYS[name]
        if slip := selectors.meant(name):
            raise InvalidSelector(
                f"There is no key {name} (character {start + 1}); did you mean {slip}? "
                f'If it is a tag, put it into quotes: "{name}".',
                start + 1,
                code="unknown_selector_key",
            )
        return Tag(name)

    def values(self, key: Key) -> tuple[Value, ...]:
        if not self.take("("):
            self.unexpected("after in and notin comes a list in brackets, as in (web,db)")
        found = [self.value(key)]
        while self.take(","):
            found.append(self.value(key))
        if not self.take(")"):
            self.unexpected("a list goes on with a comma or ends with )")
        self.space()
        return tuple(found)

    def value(self, key: Key) -> Value:
        """What a key is compared with, and the white space around it."""
        self.space()
        start = self.at
        literals = [""]
        for part in self.word('here comes a value, in quotes if it has spaces or signs; "" is an empty one'):
            if part is not _WILDCARD:
                literals[-1] += part
            elif len(literals) == 1 or literals[-1]:
                literals.append("")
        if len(literals) > selectors.WILDCARDS_MAX + 1:
            self.fail(f"A value has at most {selectors.WILDCARDS_MAX} *", start)
        if isinstance(key, Tag):
            return Value(tuple(literals))
        return self.builtin_value(key, tuple(literals), start)

    def builtin_value(self, key: Builtin, literals: tuple[str, ...], start: int) -> Value:
        """A value that ``key`` can have."""
        text = "*".join(literals)
        if literals == ("",):
            self.fail(f"{key} is never empty; write !{key} for devices that have none", start)
        if key in _CHOICES and text not in _CHOICES[key]:
            self.fail(f"{key} is one of {', '.join(_CHOICES[key])}", start)
        if key is Builtin.ID:
            if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 0 < int(text) <= _ID_MAX):
                self.fail("id is the number of a device, as its address in the dashboard shows it", start)
            return Value((str(int(text)),))
        if key is Builtin.GROUP and len(literals) > 1:
            self.fail("group is the whole name of a group, without *", start)
        if key is Builtin.OWNER:
            return Value(tuple(part.lower() for part in literals))
        return Value(literals)

    def checked(self, term: Term, start: int) -> Term:
        if term.key is Builtin.GROUP and not term.values:
            self.fail("group needs a name, as in group=berlin", start)
        return term

    def word(self, expected: str) -> list[str | None]:
        """The pieces of a word or of quoted text, with None for each wildcard, and the white space after it."""
        start = self.at
        pieces = self.in_quotes() if self.take('"') else self.bare()
        if pieces is None:
            self.unexpected(expected)
        if len(pieces) > selectors.VALUE_MAX:
            self.fail(f"This has more than {selectors.VALUE_MAX} characters", start)
        self.space()
        return pieces

    def bare(self) -> list[str | None] | None:
        pieces: list[str | None] = []
        while not self.ended() and (self.peek() == "*" or selectors.is_word_character(self.peek())):
            pieces.append(_WILDCARD if self.peek() == "*" else self.peek())
            self.at += 1
        return pieces or None

    def in_quotes(self) -> list[str | None]:
        """What stands between quotes, from behind the first to behind the last."""
        opened, pieces = self.at - 1, list[str | None]()
        while not self.take('"'):
            if self.ended():
                self.fail('A quote that opens has to close; write \\" for the character itself', opened)
            character = self.peek()
            if character == "\\":
                self.at += 1
                character = self.peek()
                if character not in ("\\", '"', "*"):
                    self.fail('In quotes, \\ goes before ", * or another \\')
                pieces.append(character)
            elif unicodedata.category(character) in _UNREADABLE:
                self.fail("This character cannot be shown, so no device has it")
            else:
                pieces.append(_WILDCARD if character == "*" else character)
            self.at += 1
        return pieces

    def keyword(self, word: str) -> bool:
        """Take ``word``, if it stands here as a whole."""
        end = self.at + len(word)
        whole = end >= len(self.text) or not selectors.is_word_character(self.text[end])
        return whole and self.take(word)

    def must_follow(self, word: str) -> bool:
        if not self.keyword(word):
            self.unexpected(f"after not comes {word}")
        return True

    def take(self, sign: str) -> bool:
        """Go behind ``sign`` and the white space after it, if it stands here. A quote keeps its white space."""
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        if sign != '"':
            self.space()
        return True

    def space(self) -> None:
        while self.peek() in (" ", "\t", "\r", "\n"):
            self.at += 1

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def ended(self) -> bool:
        return self.at >= len(self.text)

    def unexpected(self, expected: str) -> NoReturn:
        found = self.peek()
        shown = found if found.isprintable() else f"U+{ord(found):04X}"
        self.fail(f"{f'{shown} does not belong here' if found else 'The selector ends too early'}: {expected}")

    def fail(self, sentence: str, at: int | None = None) -> NoReturn:
        position = (self.at if at is None else at) + 1
        raise InvalidSelector(f"{sentence} (character {position}).", position)
