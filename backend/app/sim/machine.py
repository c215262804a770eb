"""What a simulated machine is and keeps: its hardware, and the disk that outlives each start of its agent.

The journal is in memory and stands for that disk: what is written to it is durable, for a restart of the agent leaves
it as it is. To lose it is a fault of its own (``lose_journal``).
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from nacl.signing import SigningKey

from deployx_protocol import PROTOCOL_VERSION, limits
from deployx_protocol.frames import HEADER_BYTES
from deployx_protocol.messages import TAKES_RELEASES, AgentRegister
from deployx_protocol.releases import Phase
from deployx_protocol.signing import key_hash, register_bytes
from deployx_protocol.task_messages import Task, TaskUpdate
from deployx_protocol.tasks import TaskState

PLATFORMS = (
    ("linux", "Debian GNU/Linux 12 (bookworm)", "x86_64"),
    ("linux", "Ubuntu 24.04.2 LTS", "x86_64"),
    ("linux", "Rocky Linux 9.5 (Blue Onyx)", "aarch64"),
    ("windows", "Windows Server 2022", "AMD64"),
    ("macos", "macOS 15.3", "arm64"),
)
_WEIGHTS = (40, 30, 12, 12, 6)
_ROLES = ("web", "web", "db", "cache", "queue", "build", "edge")
_SITES = ("fra", "ams", "lon", "nyc")
_STAGES = ("prod", "prod", "prod", "staging", "dev")


class Stage(StrEnum):
    """How far a task is, as the journal has it."""

    RECEIVED = "received"
    STARTED = "started"
    FINISHED = "finished"


@dataclass(slots=True)
class Entry:
    """A task in the journal, and how much of it the server has acknowledged."""

    task_id: str
    task: Task | None
    boot_id: str
    """Of the process for which the server last assigned it: another one does not start it."""
    stage: Stage = Stage.RECEIVED
    final: TaskUpdate | None = None
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    """(stream, data), in order."""
    preview: int = 0
    """How many of them go over the link; the rest is posted."""
    size: int = 0
    """Of all of them, as frames in a spool."""
    phase: Phase | None = None
    percent: int | None = None
    saved_seq: int = 0
    saved_state: TaskState | None = None
    history: list[TaskState] = field(default_factory=list)

    def spool(self, stream: int, data: bytes) -> None:
        """Keep a chunk of output."""
        self.preview += self.size < limits.OUTPUT_PREVIEW_BYTES
        self.size += HEADER_BYTES + len(data)
        self.chunks.append((stream, data))

    @property
    def state(self) -> TaskState:
        """What is reported of it now."""
        if self.final:
            return self.final.state
        return TaskState.RUNNING if self.stage is Stage.STARTED else TaskState.ACCEPTED

    @property
    def owed(self) -> bool:
        """Whether the server has not acknowledged all of it."""
        return self.saved_state is not self.state or self.saved_seq < len(self.chunks)


@dataclass(slots=True)
class Machine:
    """A machine, made from a seed and a number; two with the same are the same."""

    hostname: str
    key: SigningKey
    platform: str
    facts: dict[str, str]
    fingerprint: dict[str, str]
    machine_id: str
    journal_id: str
    address: str
    tags: dict[str, str]
    agent_id: str = ""
    generation: int = 0
    enrolled: bool = False
    journal: dict[str, Entry] = field(default_factory=dict)
    installed: dict[str, list[str]] = field(default_factory=dict)
    """Name of a release → the SHA-256 of each version that was put in place, the present one last."""

    @classmethod
    def make(cls, seed: str, number: int) -> "Machine":
        """The machine ``number`` of ``seed``."""
        dice = random.Random(f"{seed}:{number}")  # noqa: S311 - a simulation that can be repeated
        key = SigningKey(dice.randbytes(32))
        (platform, system, arch), site, role = (
            dice.choices(PLATFORMS, _WEIGHTS)[0],
            dice.choice(_SITES),
            dice.choice(_ROLES),
        )
        if platform == "macos":
            role = "laptop"
        hostname = f"{role}-{site}-{number + 1:04}"
        memory = str(dice.choice((2, 4, 8, 16, 64)) << 30)
        facts = {"os": system, "arch": arch, "cpus": str(dice.choice((2, 4, 8, 16))), "memory_bytes": memory}
        facts |= TAKES_RELEASES
        return cls(
            hostname=hostname,
            key=key,
            platform=platform,
            facts=facts,
            fingerprint={name: dice.randbytes(16).hex() for name in ("board", "cpu", "disk", "mac")},
            machine_id=dice.randbytes(16).hex(),
            journal_id=dice.randbytes(16).hex(),
            address=f"10.{_SITES.index(site)}.{number // 250 % 250}.{number % 250 + 1}",
            tags={"role": role, "site": site, "env": dice.choice(_STAGES)},
            agent_id=f"{hostname}-{key_hash(key.verify_key.encode().hex())[:8]}",
        )

    def lose_journal(self, journal_id: str) -> None:
        """The journal is gone; a new, empty one takes its place."""
        self.journal, self.journal_id = {}, journal_id

    def register(self, origin: str, sid: str, boot_id: str, token: str) -> dict[str, Any]:
        """A signed `agent_register` for the connection ``sid``."""
        message = AgentRegister(
            agent_id=self.agent_id,
            hostname=self.hostname,
            platform=self.platform,
            ip_address=self.address,
            machine_id=self.machine_id,
            protocol=PROTOCOL_VERSION,
            agent_version="0.1.0",
            public_key=self.key.verify_key.encode().hex(),
            origin=origin,
            generation=self.generation,
            boot_id=boot_id,
            journal_id=self.journal_id,
            journal_high_water=len(self.journal),
            fingerprint=self.fingerprint,
            facts=self.facts,
            tags=self.tags,
            enrollment_token="" if self.enrolled else token,
            signature="0" * 128,
        )
        signature = self.key.sign(register_bytes(message, sid)).signature.hex()
        return msgspec.structs.replace(message, signature=signature).to_json()
