"""What an operator signs to start a run: everything that its tasks do, on exactly which devices, until when, and once.

It travels as the payload of a DSSE envelope (``dsse``). Invariants: no field has a default, so nothing is signed by
being left out, and a field that a reader does not know makes it refuse the whole.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from deployx_protocol import limits
from deployx_protocol.checks import InvalidPayload, is_hex
from deployx_protocol.dsse import Envelope

PAYLOAD_TYPE = "application/vnd.deployx.run.v1+json"
KEY_ID_LENGTH = 32
CLOCKS_DIFFER_S = 120.0
"""How far the clocks of a signer and of a device may be apart."""

Moment = Annotated[datetime, Meta(tz=True)]
_YEARS = range(2000, 9000)
"""What lies further away cannot be reckoned with."""


class Asked(NamedTuple):
    """What a task does, in one form for all who compare it: whoever signs, the server, the device."""

    command: tuple[str, ...] | None
    shell: str | None
    script_sha256: str | None
    interpreter: tuple[str, ...]
    args: tuple[str, ...]
    user: str
    """Empty is the agent's own."""
    cwd: str
    env: tuple[tuple[str, str], ...]
    """Sorted."""
    timeout_s: float

    @classmethod
    def of(
        cls,
        *,
        command: Sequence[str] | None,
        shell: str | None,
        script_sha256: str | None,
        interpreter: Sequence[str],
        args: Sequence[str],
        user: str,
        cwd: str,
        env: dict[str, str],
        timeout_s: float,
    ) -> "Asked":
        """From what is at hand."""
        words = None if command is None else tuple(command)
        settings = tuple(sorted(env.items()))
        return cls(words, shell, script_sha256, tuple(interpreter), tuple(args), user, cwd, settings, float(timeout_s))


class SignedScript(Struct, frozen=True, forbid_unknown_fields=True):
    """A script by what it is, not by its name."""

    sha256: str
    interpreter: list[str]
    args: list[str]


class SignedRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payload. Exactly one of ``command``, ``shell`` and ``script`` is set."""

    command: list[str] | None
    shell: str | None
    script: SignedScript | None
    user: str
    cwd: str
    env: dict[str, str]
    timeout_s: float
    targets: dict[str, str]
    """``key_id`` of each device → its host name. Who signs reads the names; a device knows its own, so a server that
    shows one machine's name beside another one's key gains nothing."""
    issued_at: Moment
    expires_at: Moment
    """It must be started before."""
    number: str
    """128 random bits, hexadecimal: a device takes each number once."""

    def __post_init__(self) -> None:
        if [self.command, self.shell, self.script].count(None) != 2:
            raise InvalidPayload("What was signed is not one of a command, a shell line and a script.")
        if not is_hex(self.number, 32):
            raise InvalidPayload("The number of what was signed is not 32 hexadecimal digits.")
        if not 0 < len(self.targets) <= limits.SIGNED_DEVICES_MAX:
            raise InvalidPayload(f"A signed run is for 1 to {limits.SIGNED_DEVICES_MAX} devices.")
        plausible(self.issued_at)
        plausible(self.expires_at)
        if not timedelta(0) < self.expires_at - self.issued_at <= timedelta(seconds=limits.RUN_EXPIRES_MAX_S):
            raise InvalidPayload("What was signed holds for no time, or for more than 30 days.")

    def asked(self) -> Asked:
        """What its tasks do."""
        script = self.script
        return Asked.of(
            command=self.command,
            shell=self.shell,
            script_sha256=script.sha256 if script else None,
            interpreter=script.interpreter if script else (),
            args=script.args if script else (),
            user=self.user,
            cwd=self.cwd,
            env=self.env,
            timeout_s=self.timeout_s,
        )


def read(envelope: Envelope) -> SignedRun:
    """What ``envelope`` carries; whether its signatures are good is another question. Raises InvalidPayload."""
    if envelope.payloadType != PAYLOAD_TYPE:
        raise InvalidPayload(f"The envelope carries {envelope.payloadType[:80]!r}, which is no run.")
    try:
        return msgspec.json.decode(envelope.body(), type=SignedRun)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPayload(f"What was signed cannot be read as a run: {str(error).rstrip('.')}.") from None


def plausible(moment: datetime) -> None:
    """Raises InvalidPayload for a year in which nobody signs anything."""
    if moment.year not in _YEARS:
        raise InvalidPayload(f"The year {moment.year} is not one of ours.")


def key_id(public_key: str) -> str:
    """By what a key is named, a device's as well as an operator's: the start of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:KEY_ID_LENGTH]
