"""Operators with keys, what they sign, and the policy files that ask for it."""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from deployx_protocol import dsse
from deployx_protocol.dsse import Envelope, Signature
from deployx_protocol.signed_runs import PAYLOAD_TYPE, key_id
from deployx_protocol.task_messages import Task


@dataclass
class Operator:
    """Somebody with a key."""

    name: str
    key: SigningKey = field(default_factory=SigningKey.generate)

    @property
    def public_key(self) -> str:
        return bytes(self.key.verify_key).hex()

    @property
    def key_id(self) -> str:
        return key_id(self.public_key)

    def table(self, **more: str) -> str:
        """As a policy names them."""
        lines = {"name": f'"{self.name}"', "key": f'"{self.public_key}"', **more}
        return "[[operator]]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())

    def sign(self, body: bytes, payload_type: str = PAYLOAD_TYPE) -> Signature:
        raw = self.key.sign(dsse.pae(payload_type, body)).signature
        return Signature(sig=base64.b64encode(raw).decode(), keyid=self.key_id)


def payload_of(task: Task, targets: Mapping[str, str], now: datetime | None = None, **changes: Any) -> dict[str, Any]:
    """What somebody signs ``now`` who wants ``task`` on ``targets``: public key → host name."""
    now, script = now or datetime.now(UTC), task.script
    return {
        "command": task.argv,
        "shell": task.shell,
        "script": {"sha256": script.sha256, "interpreter": script.interpreter, "args": script.args} if script else None,
        "user": task.run_as,
        "cwd": task.cwd,
        "env": task.env,
        "timeout_s": task.timeout_s,
        "targets": {key_id(public_key): name for public_key, name in targets.items()},
        "issued_at": moment(now),
        "expires_at": moment(now + timedelta(hours=1)),
        "number": secrets.token_hex(16),
    } | changes


def signed(payload: Mapping[str, Any], *operators: Operator) -> Envelope:
    return sealed(json.dumps(payload).encode(), operators)


def sealed(body: bytes, operators: Sequence[Operator], payload_type: str = PAYLOAD_TYPE) -> Envelope:
    return Envelope(
        payload=base64.b64encode(body).decode(),
        payloadType=payload_type,
        signatures=[one.sign(body, payload_type) for one in operators],
    )


def moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def write_policy(path: Path, *parts: str) -> Path:
    """A policy as root would write it."""
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
    path.chmod(0o644)
    return path
