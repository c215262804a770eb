"""The bytes that a registration's signature covers.

Every part is prefixed with its length (4 bytes, big endian), so that no two different registrations share their bytes.
The nonce is the connection's Socket.IO sid, chosen by the server: no extra round trip, no clock, no replay elsewhere.
"""

import hashlib

from deployx_protocol.messages import AgentRegister

CONTEXT = "deployx-register-v1"


def register_bytes(message: AgentRegister, sid: str) -> bytes:
    """What an agent signs, and the server verifies, for ``message`` on the connection ``sid``.

    Covers every field of the message but ``signature`` itself.
    """
    parts = [
        CONTEXT,
        message.origin,
        sid,
        message.agent_id,
        message.hostname,
        message.platform,
        message.ip_address,
        message.machine_id,
        str(message.protocol),
        message.agent_version,
        message.public_key,
        str(message.generation),
        message.boot_id,
        message.journal_id,
        str(message.journal_high_water),
        *_map_parts(message.fingerprint),
        *_map_parts(message.facts),
        message.enrollment_token,
        *(_map_parts(message.tags) if message.tags else ()),  # so an agent without tags signs as it always did
        *(("policy", message.policy) if message.policy else ()),  # likewise; a count of tags is a number
    ]
    raws = [part.encode() for part in parts]
    return b"".join([len(raw).to_bytes(4, "big") + raw for raw in raws])


def _map_parts(values: dict[str, str]) -> list[str]:
    parts = [str(len(values))]
    for name in sorted(values):
        parts += [name, values[name]]
    return parts


def key_hash(public_key_hex: str) -> str:
    """SHA-256 of the raw public key, 64 hexadecimal digits; its first 8 are part of the default agent id."""
    return hashlib.sha256(bytes.fromhex(public_key_hex)).hexdigest()
