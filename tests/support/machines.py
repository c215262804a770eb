"""Agents for tests: what a machine knows about itself, and the client that speaks for it."""

import copy
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from nacl.signing import SigningKey

from deployx_protocol import PROTOCOL_VERSION, events
from deployx_protocol.messages import AgentRegister
from deployx_protocol.signing import register_bytes
from tests.support.peers import Peer

ANSWERS = (events.REGISTRATION_SUCCESS, events.REGISTRATION_FAILED, events.IDENTITY_SPLIT)
_number = itertools.count(1)


def hardware() -> dict[str, str]:
    """A fingerprint of four facts that no other machine has."""
    return {fact: secrets.token_hex(16) for fact in ("board", "cpu", "disk", "mac")}


@dataclass
class Machine:
    """A state folder and the hardware it is on. ``copy.deepcopy`` of one is a clone."""

    hostname: str = field(default_factory=lambda: f"host-{next(_number)}")
    key: SigningKey = field(default_factory=SigningKey.generate)
    machine_id: str = field(default_factory=lambda: secrets.token_hex(16))
    agent_id: str = ""
    generation: int = 0
    journal_id: str = field(default_factory=lambda: secrets.token_hex(16))
    fingerprint: dict[str, str] = field(default_factory=hardware)
    enrollment_token: str = ""

    def __post_init__(self) -> None:
        self.agent_id = self.agent_id or f"{self.hostname}-{self.public_key[:8]}"

    @property
    def public_key(self) -> str:
        """As the wire has it."""
        return self.key.verify_key.encode().hex()

    def clone(self, *, moved: bool = False) -> "Machine":
        """A copy of the state folder, on the same kind of hardware or on other."""
        other = copy.deepcopy(self)
        if moved:
            other.fingerprint = hardware()
        return other

    def seed(self) -> dict[str, Any]:
        """The five fields of the specification."""
        return {
            "agent_id": self.agent_id,
            "hostname": self.hostname,
            "platform": "Linux-6.1-x86_64",
            "ip_address": "192.0.2.17",
            "machine_id": self.machine_id,
        }

    def register(self, dialled: str, sid: str, boot_id: str, **changes: Any) -> dict[str, Any]:
        """A signed `agent_register` for one connection; ``changes`` are made before it is signed."""
        fields = {
            **self.seed(),
            "protocol": PROTOCOL_VERSION,
            "agent_version": "0.1.0",
            "public_key": self.public_key,
            "origin": dialled,
            "generation": self.generation,
            "boot_id": boot_id,
            "journal_id": self.journal_id,
            "fingerprint": self.fingerprint,
            "facts": {"os": "Debian 12"},
            "enrollment_token": self.enrollment_token,
            "signature": "0" * 128,
            **changes,
        }
        message = AgentRegister(**fields)
        signature = self.key.sign(register_bytes(message, sid)).signature.hex()
        return msgspec.structs.replace(message, signature=signature).to_json()


class AgentPeer(Peer):
    """A process of the agent on one machine."""

    def __init__(self, url: str, machine: Machine | None = None, *, boot_id: str = "") -> None:
        super().__init__(url)
        self.machine = machine or Machine()
        self.boot_id = boot_id or secrets.token_hex(16)

    async def register(self, **changes: Any) -> tuple[str, dict[str, Any]]:
        """Send a signed `agent_register`; the name and payload of the answer. A new generation is kept."""
        await self.emit(events.AGENT_REGISTER, self.machine.register(self.url, self.sid, self.boot_id, **changes))
        return await self.answer()

    async def register_raw(self, payload: Any) -> tuple[str, dict[str, Any]]:
        """Send ``payload`` as `agent_register`; the answer."""
        await self.emit(events.AGENT_REGISTER, payload)
        return await self.answer()

    async def answer(self) -> tuple[str, dict[str, Any]]:
        """The next answer to a registration, treated as the agent does."""
        name, payload = await self.expect(*ANSWERS)
        if name == events.REGISTRATION_SUCCESS and payload["generation"]:
            self.machine.generation = payload["generation"]
        return name, payload

    async def acknowledge(self) -> None:
        """Say that the generation is stored."""
        await self.call(events.REGISTRATION_ACK, {"generation": self.machine.generation})

    async def start(self, **changes: Any) -> dict[str, Any]:
        """Connect, register and acknowledge; the payload of `registration_success`."""
        await self.connect()
        name, payload = await self.register(**changes)
        assert name == events.REGISTRATION_SUCCESS, payload
        await self.acknowledge()
        return payload

    async def refused(self, **changes: Any) -> dict[str, Any]:
        """Connect and register; the payload of `registration_failed`."""
        await self.connect()
        name, payload = await self.register(**changes)
        assert name == events.REGISTRATION_FAILED, payload
        return payload


MakeAgent = Callable[..., AgentPeer]
