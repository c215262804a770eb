"""Which of two versions is the older, by the rules of the system that installed the package.

Sources: dpkg, deb-version(7) (`verrevcmp`); rpm, `rpmvercmp` with `~` and `^`; apk, apk-package(5). What has no rules
of its own (macOS, Homebrew, Windows) is compared as rpm does, which puts dotted numbers in their order.

Invariant: what somebody did not write is not compared. `openssl<3.0.13` means the version that upstream gave it,
whatever epoch and revision a distribution put around it (ADR 0033).
"""

import re
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from deployx_protocol.software import Source


@dataclass(frozen=True, slots=True)
class Version:
    """A version in its parts; an empty part was not written."""

    epoch: str
    upstream: str
    revision: str


def parted(source: Source, text: str) -> Version:
    """The parts of ``text`` as ``source`` writes them."""
    if source is Source.APK:
        upstream, mark, revision = text.rpartition("-r")
        return Version("", upstream, revision) if mark and revision.isdecimal() else Version("", text, "")
    if source not in (Source.DPKG, Source.RPM):
        return Version("", text, "")
    epoch, colon, rest = text.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "", text
    upstream, dash, revision = rest.rpartition("-")
    return Version(epoch, upstream, revision) if dash else Version(epoch, rest, "")


def compare(source: Source, one: str, other: str) -> int:
    """-1, 0 or 1: whether ``one`` is older, as old, or newer. What is missing counts as the system counts it."""
    a, b = parted(source, one), parted(source, other)
    return _parts(source, a, b)


def compare_as_written(source: Source, installed: str, wanted: str) -> int:
    """The same, but only of those parts that ``wanted`` has."""
    a, b = parted(source, installed), parted(source, wanted)
    epoch = a.epoch if b.epoch else ""
    revision = a.revision if b.revision else ""
    return _parts(source, Version(epoch, a.upstream, revision), b)


def newest_last(source: Source) -> Any:
    """A key to sort versions by."""
    return cmp_to_key(lambda one, other: compare(source, one, other))


def _parts(source: Source, a: Version, b: Version) -> int:
    if found := _sign(int(a.epoch or 0) - int(b.epoch or 0)):
        return found
    if source is Source.DPKG:
        return _dpkg(a.upstream, b.upstream) or _dpkg(a.revision, b.revision)
    if source is Source.APK:
        return _apk(a.upstream, b.upstream) or _sign(int(a.revision or 0) - int(b.revision or 0))
    return _rpm(a.upstream, b.upstream) or (_rpm(a.revision, b.revision) if a.revision and b.revision else 0)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


# ---------------------------------------------------------------- dpkg


def _order(character: str) -> int:
    if character == "~":
        return -1
    if character.isalpha():
        return ord(character)
    return ord(character) + 0x110000


def _dpkg(a: str, b: str) -> int:
    """Stretches of what is no digit, character by character, and of digits, as numbers, in turn."""
    i = j = 0
    while i < len(a) or j < len(b):
        while (i < len(a) and not _digit(a[i])) or (j < len(b) and not _digit(b[j])):
            left = _order(a[i]) if i < len(a) and not _digit(a[i]) else 0
            right = _order(b[j]) if j < len(b) and not _digit(b[j]) else 0
            if left != right:
                return _sign(left - right)
            i, j = i + 1, j + 1
        left_digits, right_digits = _digits(a, i), _digits(b, j)
        i, j = i + len(left_digits), j + len(right_digits)
        if found := _numbers(left_digits, right_digits):
            return found
    return 0


def _digit(character: str) -> bool:
    return character in "0123456789"


def _digits(text: str, start: int) -> str:
    end = start
    while end < len(text) and _digit(text[end]):
        end += 1
    return text[start:end]


def _numbers(a: str, b: str) -> int:
    """As numbers, however long: without their leading zeros the longer one is larger."""
    a, b = a.lstrip("0"), b.lstrip("0")
    return _sign(len(a) - len(b)) or (a > b) - (a < b)


# ---------------------------------------------------------------- rpm

_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")


def _rpm(a: str, b: str) -> int:
    """Stretches of digits and of letters; `~` is older than the end, `^` newer than the end and older than the rest."""
    if a == b:
        return 0
    left, right = _SEGMENT.findall(a), _SEGMENT.findall(b)
    for one, other in zip(left, right, strict=False):
        if one == other:
            continue
        for mark in ("~", "^"):
            if mark in (one, other):
                return -1 if one == mark else 1
        if one[0].isdigit() != other[0].isdigit():
            return 1 if one[0].isdigit() else -1
        if found := _numbers(one, other) if one[0].isdigit() else (one > other) - (one < other):
            return found
    if len(left) == len(right):
        return 0
    longer, sign = (left, 1) if len(left) > len(right) else (right, -1)
    following = longer[min(len(left), len(right))]
    return -sign if following == "~" else sign


# ---------------------------------------------------------------- apk

_APK = re.compile(r"(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z]?)(?P<suffixes>(?:_[a-z]+[0-9]*)*)")
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")
_SUFFIXES = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "": 0, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}


def _apk(a: str, b: str) -> int:
    left, right = _APK.match(a), _APK.match(b)
    if not left or not right:
        return _rpm(a, b)
    return (
        _apk_numbers(left["numbers"].split("."), right["numbers"].split("."))
        or (left["letter"] > right["letter"]) - (left["letter"] < right["letter"])
        or _apk_suffixes(left["suffixes"], right["suffixes"])
    )


def _apk_numbers(a: list[str], b: list[str]) -> int:
    for place, (one, other) in enumerate(zip(a, b, strict=False)):
        if place and (one.startswith("0") or other.startswith("0")):  # as what follows a decimal point
            found = (one > other) - (one < other)
        else:
            found = _numbers(one, other)
        if found:
            return found
    return _sign(len(a) - len(b))


def _apk_suffixes(a: str, b: str) -> int:
    left, right = _SUFFIX.findall(a), _SUFFIX.findall(b)
    for place in range(max(len(left), len(right))):
        one = left[place] if place < len(left) else ("", "")
        other = right[place] if place < len(right) else ("", "")
        if found := _sign(_SUFFIXES.get(one[0], 6) - _SUFFIXES.get(other[0], 6)) or _numbers(one[1], other[1]):
            return found
    return 0
