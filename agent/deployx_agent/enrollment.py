"""``enrollment.json``: the server this machine belongs to, the token it must present, the one it has spent.

Invariants: a token is presented only to the origin it names, and only until a registration with it succeeded; after
that its hash alone is kept, so that a token which stays in a unit's environment is not sent at every start.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from deployx_agent.logs import Log
from deployx_agent.state import durable
from deployx_protocol import origins
from deployx_protocol.tokens import enrollment_origin

ENROLLMENT_FILE = "enrollment.json"


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``enrollment.json``."""

    server: str = ""
    token: str = ""
    spent_sha256: str = ""


def read(folder: Path, log: Log) -> Record:
    """What is recorded; a damaged file is set aside. Raises OSError when even that fails."""
    path = folder / ENROLLMENT_FILE
    try:
        return durable.read(path, _parse) or Record()
    except durable.Unusable as why:
        aside = durable.set_aside(path)
        log.warning(f"{ENROLLMENT_FILE} cannot be used: {why}. It was set aside", set_aside=aside)
        return Record()


def peek(folder: Path) -> Record:
    """What is recorded, without touching anything."""
    try:
        return durable.read(folder / ENROLLMENT_FILE, _parse) or Record()
    except durable.Unusable:
        return Record()


def pending_token(record: Record, configured: str | None, *, has_key: bool) -> str:
    """The token that would be presented, or an empty string; decides which server a start dials."""
    if record.token:
        return record.token
    return configured if configured and not (has_key and _sha256(configured) == record.spent_sha256) else ""


def write(folder: Path, record: Record) -> None:
    """Durable when this returns. Raises OSError."""
    durable.write(folder / ENROLLMENT_FILE, msgspec.to_builtins(record))


class Enrollment:
    """Which token to present, if any, on the way to ``origin``."""

    def __init__(self, folder: Path, origin: str, configured: str | None, log: Log) -> None:
        self._folder = folder
        self._origin = origin
        self._record = read(folder, log)
        self._configured = configured or ""

    def token(self, generation: int) -> str:
        """The token to present, or an empty string. Generation 0 means that no registration has succeeded yet."""
        for token in (self._record.token, self._configured):
            unspent = token and (generation == 0 or _sha256(token) != self._record.spent_sha256)
            if unspent and origins.normalise(enrollment_origin(token)) == self._origin:
                return token
        return ""

    def replace(self, token: str) -> None:
        """Present ``token`` from now on, also after a restart. Raises OSError, or ValueError for another server's."""
        if origins.normalise(enrollment_origin(token)) != self._origin:
            raise ValueError("The token names another server.")
        self._write(msgspec.structs.replace(self._record, server=self._origin, token=token))

    def spent(self, token: str) -> None:
        """A registration that presented ``token`` (or none) succeeded. Raises OSError."""
        spent = _sha256(token) if token else self._record.spent_sha256
        self._write(Record(self._origin, "", spent))

    def _write(self, record: Record) -> None:
        if record != self._record:
            write(self._folder, record)
            self._record = record


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _parse(content: dict[str, Any]) -> Record:
    record = msgspec.convert(content, Record, strict=True)
    if record.token:
        enrollment_origin(record.token)
    return record
