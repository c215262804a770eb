"""What is installed on a machine, as its agent posts it: ``POST /api/agent/v1/software``, gzipped JSON.

Invariant: ``judged`` lets nothing through that is too much, too long, or that people could not read: a rogue machine
says nothing here that a database, a page or a terminal would choke on.
"""

import zlib
from enum import StrEnum
from typing import Final

import msgspec

from deployx_protocol.checks import InvalidPayload
from deployx_protocol.messages import Message

PACKAGES_MAX: Final = 20_000
NAME_MAX: Final = 200
VERSION_MAX: Final = 200
ARCH_MAX: Final = 32
POST_MAX_BYTES: Final = 1_048_576
"""Compressed."""
REPORT_MAX_BYTES: Final = 8 * 1_048_576
"""As JSON."""


class Source(StrEnum):
    """Whose database says that something is installed, and so by whose rules its versions are compared."""

    DPKG = "dpkg"
    RPM = "rpm"
    APK = "apk"
    PKGUTIL = "pkgutil"  # macOS
    HOMEBREW = "homebrew"
    WINDOWS = "windows"  # what its registry can uninstall


class Installed(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One package. ``arch`` is empty where the database has none."""

    name: str
    version: str
    arch: str
    source: Source


class SoftwareReport(Message, frozen=True, kw_only=True):
    """Everything that is installed. ``sources``: the databases that were read; none: the agent knows none here."""

    sources: list[Source]
    packages: list[Installed]


def judged(body: bytes) -> tuple[bytes, SoftwareReport]:
    """What was posted, as JSON and as a report, sorted and each package once. Raises InvalidPayload."""
    raw = _unpacked(body)
    try:
        report = msgspec.json.decode(raw, type=SoftwareReport, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidPayload(f"The report of software cannot be read: {str(error).rstrip('.')}.") from None
    if len(report.packages) > PACKAGES_MAX:
        raise InvalidPayload(f"The report names {len(report.packages)} packages; at most {PACKAGES_MAX} are taken.")
    for one in report.packages:
        _check("name", one.name, NAME_MAX)
        _check("version", one.version, VERSION_MAX)
        if one.arch:
            _check("arch", one.arch, ARCH_MAX)
        if one.source not in report.sources:
            raise InvalidPayload(f"A package is of {one.source}, which is not among `sources`.")
    packages = sorted(set(report.packages))
    return raw, SoftwareReport(sources=sorted(set(report.sources)), packages=packages)


def _unpacked(body: bytes) -> bytes:
    if len(body) > POST_MAX_BYTES:
        raise InvalidPayload(f"The report of software has more than {POST_MAX_BYTES} bytes.")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        raw = unpacking.decompress(body, REPORT_MAX_BYTES)
    except zlib.error:
        raise InvalidPayload("The report of software is not gzip.") from None
    if not unpacking.eof or unpacking.unused_data:
        raise InvalidPayload(f"The report of software is not whole, or unpacks to more than {REPORT_MAX_BYTES} bytes.")
    return raw


def _check(field: str, text: str, longest: int) -> None:
    """As ``checks.printable``, which looks at each character by its category, at what thousands of names cost."""
    if not 0 < len(text) <= longest:
        raise InvalidPayload(f"A package's `{field}` has {len(text)} characters; 1 to {longest} are taken.")
    if not text.isprintable() or text != text.strip():
        raise InvalidPayload(f"A package's `{field}` has characters that cannot be shown, or white space around it.")
