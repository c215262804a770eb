"""The payload of each event, as msgspec structs. Times are ISO 8601 in UTC with ``Z``; durations are seconds.

``docs/protocol.md`` is generated from this file: a docstring here is documentation there.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from deployx_protocol import checks, limits
from deployx_protocol.codes import REFUSALS, Code
from deployx_protocol.states import ClaimKind, Presence, StatusCause, Trust

Counter = Annotated[int, Meta(ge=0, le=limits.INT64_MAX)]
WATCHES_ONLY = {"tasks": "refused: it only watches"}
"""The fact by which a machine says that it takes no task; people read it among the others."""
TAKES_RELEASES = {"releases": "1"}
"""The fact by which an agent says that it takes tasks with a release; one that only watches, or is older, lacks it."""

TAKES_UPDATES = {"updates": "1"}
"""The fact by which an agent says that it trusts keys for its own updates, and takes releases of that kind."""


class Message(Struct, frozen=True, kw_only=True):
    """What all messages share: they are values, and they know how to become JSON."""

    def to_json(self) -> dict[str, Any]:
        """The payload as plain JSON values, ready for a Socket.IO emit."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- agent → server


class AgentRegister(Message, frozen=True, kw_only=True):
    """`agent_register`: who the agent is. The first five fields are the specification's; a client that sends only these
    is *unverified*. A client with a `public_key` must send everything that `signing.register_bytes` covers."""

    agent_id: str
    hostname: str
    platform: str
    ip_address: str
    machine_id: str
    protocol: Counter = 0
    agent_version: str = ""
    public_key: str = ""
    """Ed25519, 64 hexadecimal digits."""
    origin: str = ""
    """The server origin that was dialled, `scheme://host[:port]`."""
    generation: Counter = 0
    """What the last `registration_success` asked to store; 0 before the first."""
    boot_id: str = ""
    """Random per start of the process, 32 hexadecimal digits."""
    journal_id: str = ""
    """Random per journal of tasks; a new one means that tasks in flight are lost."""
    journal_high_water: Counter = 0
    fingerprint: dict[str, str] = {}
    """Name of a hardware fact → its hash, taken fresh at each start."""
    facts: dict[str, str] = {}
    """What people like to know about the machine: `os`, `kernel`, `arch`, `cpus`, `memory_bytes` …"""
    tags: dict[str, str] = {}
    """From the agent's settings: `role` → `web`. What people set in the dashboard goes before."""
    policy: str = ""
    """What the machine lets its server do, `policy.PolicyReport` as JSON; empty if it has no policy."""
    enrollment_token: str = ""
    """Only until the device is known."""
    signature: str = ""
    """Ed25519 over `signing.register_bytes`, 128 hexadecimal digits."""

    def __post_init__(self) -> None:
        checks.printable(self.agent_id, "agent_id", limits.AGENT_ID_MAX)
        checks.printable(self.hostname, "hostname", limits.HOSTNAME_MAX)
        checks.printable(self.platform, "platform", limits.PLATFORM_MAX)
        checks.ip_address(self.ip_address, "ip_address")
        checks.printable(self.machine_id, "machine_id", limits.MACHINE_ID_MAX)
        checks.printable(self.agent_version, "agent_version", limits.VERSION_MAX, empty=True)
        checks.printable(self.origin, "origin", limits.ORIGIN_MAX, empty=True)
        checks.printable(self.enrollment_token, "enrollment_token", limits.TOKEN_MAX, empty=True)
        _hex(self.public_key, "public_key", 64)
        _hex(self.signature, "signature", 128)
        _hex(self.boot_id, "boot_id", 32)
        _hex(self.journal_id, "journal_id", 32)
        _facts(self.fingerprint, "fingerprint", limits.FINGERPRINT_FACTS_MAX)
        _facts(self.facts, "facts", limits.FACTS_MAX)
        checks.tags(self.tags)
        if len(self.policy.encode()) > limits.POLICY_MAX_BYTES:
            raise checks.InvalidPayload(f"`policy` has more than {limits.POLICY_MAX_BYTES} bytes.")
        if self.public_key and not (self.signature and self.boot_id and self.origin and self.protocol):
            raise checks.InvalidPayload(
                "A registration with `public_key` needs `signature`, `boot_id`, `origin` and `protocol`."
            )

    @property
    def keyed(self) -> bool:
        """Whether the client has a key: the device *is* that key."""
        return bool(self.public_key)


class RegistrationAck(Message, frozen=True, kw_only=True):
    """`registration_ack`: the agent has stored this generation durably."""

    generation: Counter


class Ping(Message, frozen=True, kw_only=True):
    """`ping`: the heartbeat, every `heartbeat_interval_s`. An empty or absent payload is fine."""


class AgentLeaving(Message, frozen=True, kw_only=True):
    """`agent_leaving`: sent before a clean stop, because a closed socket cannot say why it closed."""

    reason: str = ""

    def __post_init__(self) -> None:
        checks.printable(self.reason, "reason", limits.REASON_MAX, empty=True)


# ---------------------------------------------------------------- server → agent


class RegistrationSuccess(Message, frozen=True, kw_only=True):
    """`registration_success`: the device is saved and mapped to this connection."""

    agent_id: str
    trust: Trust
    generation: Counter
    """The agent stores this before it answers `registration_ack`."""
    heartbeat_interval_s: float
    server_time: str
    http_token: str = ""
    """The bearer of this session's requests over HTTP; empty for a client without a key. Never stored by the agent."""
    public_urls: list[str] = []
    """The server's addresses. A release that has to be confirmed is kept when any of them, or the one that the agent
    dialled, answers a handshake."""


class Refused(Message, frozen=True, kw_only=True):
    """The shape of `registration_failed` and `session_ended`."""

    code: Code
    message: str
    """One sentence: what is wrong and what to do."""
    retryable: bool
    retry_after_s: float | None = None


class RegistrationFailed(Refused, frozen=True, kw_only=True):
    """`registration_failed`: nothing was registered; the connection stays anonymous until its deadline."""

    agent_id: str

    @classmethod
    def because(
        cls, agent_id: str, code: Code, message: str, retry_after_s: float | None = None
    ) -> "RegistrationFailed":
        """The failure with what its code implies."""
        retryable = REFUSALS[code].retryable
        return cls(agent_id=agent_id, code=code, message=message, retryable=retryable, retry_after_s=retry_after_s)


class SessionEnded(Refused, frozen=True, kw_only=True):
    """`session_ended`: the server is about to close this connection, and says why."""

    @classmethod
    def because(cls, code: Code, message: str, retry_after_s: float | None = None) -> "SessionEnded":
        """The end with what its code implies."""
        return cls(code=code, message=message, retryable=REFUSALS[code].retryable, retry_after_s=retry_after_s)


class RegistrationRequired(Message, frozen=True, kw_only=True):
    """`registration_required`: the device was accepted or a claim was answered; register again on this connection,
    and if a registration is not answered yet, after that."""

    reason: str


class IdentitySplit(Message, frozen=True, kw_only=True):
    """`identity_split`: this machine is a copy. Make a new key and machine id, then register with this token."""

    enrollment_token: str
    message: str


class Pong(Message, frozen=True, kw_only=True):
    """`pong`: the answer to `ping`."""

    server_time: str


# ---------------------------------------------------------------- server → dashboard


class DeviceStatusChanged(Message, frozen=True, kw_only=True):
    """`device_status_changed`: a device came or went. The first four fields are the specification's."""

    agent_id: str
    device_name: str
    status: Presence
    last_seen: str | None
    id: int
    rev: int
    cause: StatusCause | None
    detail: str
    """The cause as people read it."""
    since: str | None


class DeviceView(Message, frozen=True, kw_only=True):
    """A device as REST and dashboards show it. Of two views with one `id`, the one with the greater `rev` is true."""

    id: int
    agent_id: str
    device_name: str
    hostname: str
    platform: str
    ip_address: str
    """What the agent says."""
    source_ip: str
    """What the server sees."""
    machine_id: str
    status: Presence
    status_cause: StatusCause | None
    status_detail: str
    status_since: str | None
    last_seen: str | None
    trust: Trust
    trust_reason: str
    keyed: bool
    agent_version: str
    facts: dict[str, str]
    tags: dict[str, str]
    agent_tags: dict[str, str]
    """What the agent's settings say; where `tags` has the same name, `tags` counts."""
    user_id: int | None
    owner: str | None
    """The owner's e-mail address."""
    created_at: str
    rev: int


class Removed(Message, frozen=True, kw_only=True):
    """A device that is gone, or that this user may no longer see; views with a lower or equal `rev` are ignored."""

    id: int
    rev: int


class Seen(Message, frozen=True, kw_only=True):
    """Heartbeats that reached the database together."""

    at: str
    ids: list[int]


class DevicesChanged(Message, frozen=True, kw_only=True):
    """`devices_changed`: all that changed in one tick (100 ms), for dashboards that connect with `auth: {batch: true}`.
    Apply `devices`, then `changes`, then `removed`, then `seen`."""

    devices: list[DeviceView] = []
    changes: list[DeviceStatusChanged] = []
    removed: list[Removed] = []
    seen: list[Seen] = []


class ClaimView(Message, frozen=True, kw_only=True):
    """An identity in conflict, waiting for an answer."""

    id: int
    kind: ClaimKind
    device_id: int
    device_name: str
    agent_id: str
    hostname: str
    platform: str
    ip_address: str
    source_ip: str
    machine_id: str
    keyed: bool
    connected: bool
    detail: str
    created_at: str
    last_seen: str


class ClaimsChanged(Message, frozen=True, kw_only=True):
    """`claims_changed`: the open claims that this user may answer; it replaces what was known.

    The oldest come first. ``more_claims`` is how many there are besides; they come as these are answered.
    """

    claims: list[ClaimView]
    more_claims: int = 0


class SnapshotBegin(Message, frozen=True, kw_only=True):
    """`snapshot_begin`: the answer to `watch`. The pieces follow; changes may arrive between them."""

    snapshot_id: str
    total: int
    server_time: str


class SnapshotDevices(Message, frozen=True, kw_only=True):
    """`snapshot_devices`: one piece."""

    snapshot_id: str
    devices: list[DeviceView]


class SnapshotEnd(Message, frozen=True, kw_only=True):
    """`snapshot_end`: the pieces are complete; replay what changed since `snapshot_begin` on top of them.

    ``claims`` and ``more_claims`` as in `claims_changed`.
    """

    snapshot_id: str
    claims: list[ClaimView]
    more_claims: int = 0


def _hex(text: str, field: str, length: int) -> None:
    if text and not checks.is_hex(text, length):
        raise checks.InvalidPayload(f"`{field}` is not {length} lower-case hexadecimal digits.")


def _facts(facts: dict[str, str], field: str, most: int) -> None:
    if len(facts) > most:
        raise checks.InvalidPayload(f"`{field}` has {len(facts)} entries; at most {most} are allowed.")
    for name, value in facts.items():
        if not checks.is_plain(name, limits.FACT_NAME_MAX):
            checks.printable(name, f"a name in {field}", limits.FACT_NAME_MAX)
        if value and not checks.is_plain(value, limits.FACT_VALUE_MAX):
            checks.printable(value, f"{field}.{name}", limits.FACT_VALUE_MAX)
