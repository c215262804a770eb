"""What goes into a registration and what comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from deployx_protocol.codes import Code
from deployx_protocol.messages import AgentRegister
from deployx_protocol.states import Trust

TOLD = ("hostname", "platform", "ip_address", "agent_version", "facts")
"""Columns that devices and claims both have, for what a machine says of itself."""
DESCRIBED = (*TOLD, "source_ip")
"""With where it says it from."""


class Registration(msgspec.Struct, frozen=True):
    """One `agent_register` whose payload, origin and signature were checked."""

    message: AgentRegister
    source_ip: str
    live_boot: Callable[[int], str | None]
    """Boot id of another connection that is open for this device id, asked while the batch runs."""
    claim_connected: Callable[[int], bool]
    """Whether another connection waits on this claim id, asked while the batch runs."""
    rival_is_alive: bool = False
    """That other connection was probed and answered."""
    is_there: bool = False
    """This connection was probed after its registration had been read, and answered."""

    def described(self) -> dict[str, Any]:
        """A value for each column of ``DESCRIBED``."""
        return {name: getattr(self.message, name) for name in TOLD} | {"source_ip": self.source_ip}


class Registered(msgspec.Struct, frozen=True):
    """The connection is the device's session from now on."""

    device_id: int
    agent_id: str
    hostname: str
    trust: Trust
    generation: int
    epoch: int
    came_online: bool
    http_token: str = ""
    """What the session authenticates with over HTTP; its hash is in the row."""


@dataclass(frozen=True, slots=True)
class Held:
    """The connection waits for the answer to a claim; it is nobody's session."""

    claim_id: int
    device_id: int
    agent_id: str
    trust: Trust
    generation: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was registered."""

    code: Code
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Contested:
    """Another connection is open for this device: probe it, then register again. Nothing was written."""

    device_id: int
    epoch_elsewhere: int = 0
    """Of the session that another node has; 0 when it is this node's."""


@dataclass(frozen=True, slots=True)
class Split:
    """The agent is a copy: it makes itself a new identity and enrols with this token."""

    token: str


Outcome = Registered | Held | Refused | Contested | Split
