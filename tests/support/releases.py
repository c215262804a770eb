"""Releases for tests: manifests that are right, their payloads, and envelopes that operators have signed."""

import base64
import hashlib
from typing import Any

import msgspec

from deployx_protocol.releases import PAYLOAD_TYPE, Manifest, payload_of
from tests.support.operators import Operator

STEP: dict[str, Any] = {"command": ["true"]}


def manifest(name: str = "web", number: int = 1, **changes: Any) -> Manifest:
    """A script that does nothing; ``changes`` replace what stands here."""
    said: dict[str, Any] = {
        "name": name,
        "version": f"1.{number}",
        "number": number,
        "kind": "script",
        "platforms": ["linux"],
        "install": STEP,
        "detect": STEP,
    }
    return msgspec.convert({**said, **changes}, Manifest)


def artifact(name: str, content: bytes) -> dict[str, Any]:
    """How a manifest names a file."""
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def previous(before: Manifest) -> dict[str, Any]:
    """How a manifest names the release that it goes back to."""
    payload = payload_of(before)
    return {"version": before.version, "sha256": hashlib.sha256(payload).hexdigest(), "size": len(payload)}


def envelope(of: Manifest | bytes, *operators: Operator) -> dict[str, Any]:
    """What is posted."""
    payload = of if isinstance(of, bytes) else payload_of(of)
    signatures = [one.sign(payload, PAYLOAD_TYPE) for one in operators]
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": one.sig, "keyid": one.keyid} for one in signatures],
    }
