"""From what a peer sent to a struct, or a sentence that says what is wrong with it.

Invariant: nothing reaches a handler that a database or a log would choke on later. ``msgspec.convert`` lets NUL, lone
surrogates, NaN and integers beyond 64 bit through, so they are refused here, before conversion.
"""

import ipaddress
import math
import re
import unicodedata
from typing import Any, TypeGuard, TypeVar

import msgspec

from deployx_protocol import limits

T = TypeVar("T")


class InvalidPayload(ValueError):
    """A payload that breaks the protocol. The message is a sentence meant for the peer's operator."""


def decode(payload: Any, struct: type[T]) -> T:
    """Check ``payload`` (plain JSON values) and convert it to ``struct``.

    Raises InvalidPayload with the path of the first offending value. Unknown fields are ignored, so that a newer peer
    can talk to an older one.
    """
    if not _is_sound(payload):
        _check_tree(payload)
    try:
        return msgspec.convert(payload, struct, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidPayload(f"{str(error).rstrip('.')}.") from None


def _is_sound(payload: Any) -> bool:
    """Whether ``_check_tree`` would find nothing. Level by level, since that costs a fifth of it; what it does not know
    it does not call sound."""
    level, nodes = [payload], 0
    for _ in range(limits.PAYLOAD_DEPTH_MAX + 1):
        nodes += len(level)
        texts: list[Any] = []
        inner: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str:
                texts.append(value)
            elif kind is dict:
                texts += value
                inner += value.values()
            elif kind is list:
                inner += value
            elif kind is int:
                if not limits.INT64_MIN <= value <= limits.INT64_MAX:
                    return False
            elif kind is float:
                if value - value != 0.0:  # it is not finite
                    return False
            elif value is not None and kind is not bool:
                return False
        if nodes > limits.PAYLOAD_NODES_MAX or not _are_sound(texts):
            return False
        if not inner:
            return True
        level = inner
    return False


def _are_sound(texts: list[Any]) -> bool:
    try:
        text = "\n".join(texts)
        return "\x00" not in text and (text.isascii() or bool(text.encode()))
    except (TypeError, UnicodeEncodeError):  # a key that is no text; half of a surrogate pair
        return False


def _check_tree(payload: Any) -> None:
    """Raises InvalidPayload with the path of what is wrong."""
    nodes = 0
    stack: list[tuple[Any, str, int]] = [(payload, "$", 0)]
    while stack:
        value, path, depth = stack.pop()
        nodes += 1
        if nodes > limits.PAYLOAD_NODES_MAX:
            raise InvalidPayload(f"The payload has more than {limits.PAYLOAD_NODES_MAX} values.")
        if depth > limits.PAYLOAD_DEPTH_MAX:
            raise InvalidPayload(f"The payload is nested deeper than {limits.PAYLOAD_DEPTH_MAX} levels.")
        match value:
            case str():
                _check_text(value, path)
            case bool() | None:
                pass
            case int() if not limits.INT64_MIN <= value <= limits.INT64_MAX:
                raise InvalidPayload(f"The number at `{path}` does not fit in 64 bits.")
            case float() if not math.isfinite(value):
                raise InvalidPayload(f"The number at `{path}` is not finite.")
            case int() | float():
                pass
            case dict():
                for key, item in value.items():
                    if not isinstance(key, str):
                        raise InvalidPayload(f"A key at `{path}` is not a string.")
                    _check_text(key, f"{path}, a key")
                    stack.append((item, f"{path}.{key}", depth + 1))
            case list() | tuple():
                stack.extend((item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
            case _:
                raise InvalidPayload(f"The value at `{path}` is not JSON; binary attachments are not accepted.")


def _check_text(text: str, path: str) -> None:
    if "\x00" in text:
        raise InvalidPayload(f"The text at `{path}` contains a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidPayload(f"The text at `{path}` contains half of a surrogate pair.") from None


def is_plain(text: str, longest: int) -> bool:
    """Whether ``printable`` would find nothing, for all but a few texts that have unusual white space; it is faster."""
    return 0 < len(text) <= longest and text.isprintable() and text[0] != " " != text[-1]


def printable(text: str, field: str, longest: int, *, empty: bool = False) -> str:
    """``text`` if it is one line that people can read, at most ``longest`` characters; InvalidPayload otherwise.

    Control and format characters are refused: they can reorder or hide what an operator reads, in a page or a terminal.
    """
    if is_plain(text, longest):
        return text
    if not text:
        if empty:
            return text
        raise InvalidPayload(f"`{field}` is empty.")
    if len(text) > longest:
        raise InvalidPayload(f"`{field}` has {len(text)} characters; at most {longest} are allowed.")
    if text != text.strip():
        raise InvalidPayload(f"`{field}` starts or ends with white space.")
    if any(unicodedata.category(character) in _UNREADABLE for character in text):
        raise InvalidPayload(f"`{field}` contains a character that cannot be shown.")
    return text


_UNREADABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def tags(tags: dict[str, str]) -> dict[str, str]:
    """``tags`` if they are few, short and readable; InvalidPayload otherwise."""
    if len(tags) > limits.TAGS_MAX:
        raise InvalidPayload(f"There are {len(tags)} tags; at most {limits.TAGS_MAX} are allowed.")
    for name, value in tags.items():
        printable(name, "a name in tags", limits.TAG_NAME_MAX)
        printable(value, f"tags.{name}", limits.TAG_VALUE_MAX, empty=True)
    return tags


def is_uuid(text: Any) -> TypeGuard[str]:
    """Whether ``text`` is a UUID in lower case with its hyphens; so it can also name a file."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_hex(text: Any, length: int) -> TypeGuard[str]:
    """Whether ``text`` is ``length`` hexadecimal digits in lower case."""
    return isinstance(text, str) and len(text) == length and _HEX.fullmatch(text) is not None


_HEX = re.compile("[0-9a-f]*")


_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_DECIMAL = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
"""An IPv4 address as nearly all of them are written; the library takes longer to say so."""


def ip_address(text: str, field: str) -> str:
    """``text`` if it is an IPv4 or IPv6 address; InvalidPayload otherwise."""
    if len(text) <= limits.IP_ADDRESS_MAX:
        if _DECIMAL.fullmatch(text):
            return text
        try:
            ipaddress.ip_address(text)
            return printable(text, field, limits.IP_ADDRESS_MAX)
        except ValueError:
            pass
    raise InvalidPayload(f"`{field}` is not an IP address.")
