"""A release as a file: a DSSE envelope, and where its artifacts lie. It is made, signed and verified without a server.

Invariant: what a file holds is read as a release by the same rules by which devices read it, or not at all.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployx_cli import store
from deployx_cli.errors import CommandError
from deployx_protocol import dsse, releases
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.releases import PAYLOAD_TYPE, Manifest

_MAX_BYTES = 1 << 20
FILES = "files"


@dataclass(frozen=True, slots=True)
class Kept:
    """A release, its signatures, and where its artifacts lie: name → path from the folder of the file."""

    payload: bytes
    manifest: Manifest
    signatures: list[dict[str, str]]
    files: dict[str, str] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """As people name it."""
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def sha256(self) -> str:
        """Of the payload."""
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def envelope(self) -> dict[str, Any]:
        """As it is sent."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": self.signatures,
        }


def kept(envelope: dict[str, Any], called: str) -> Kept:
    """The release in ``envelope``, from where it is ``called``. Raises CommandError."""
    try:
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise InvalidPayload(f"it carries {str(envelope['payloadType'])[:80]!r}")
        payload = dsse.decoded(envelope["payload"], "payload")
        signatures = [{"sig": str(one["sig"]), "keyid": str(one["keyid"])} for one in envelope["signatures"]]
        files = {str(name): str(path) for name, path in dict(envelope.get(FILES) or {}).items()}
        return Kept(payload, releases.parse(payload), signatures, files)
    except (KeyError, TypeError, ValueError) as error:
        why = str(error).rstrip(".") if isinstance(error, InvalidPayload) else "it is no envelope"
        raise CommandError(f"{called} holds no release ({why}); make one with: deployx release create") from None


def load(path: Path) -> Kept:
    """The release in a file. Raises CommandError."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        content = None
    return kept(content if isinstance(content, dict) else {}, str(path))


def save(path: Path, release: Kept) -> None:
    """Put a release into a file, whole or not at all. Raises CommandError."""
    try:
        store.write(path, {**release.envelope, **({FILES: release.files} if release.files else {})})
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
