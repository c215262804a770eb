"""Who this agent is: an Ed25519 key pair, and ``machine_id.json`` (machine id, where it came from, generation).

The device *is* its key; the machine id is a hint for people. Invariant: a file in the state folder that is damaged, or
that others may have written, is set aside and replaced with a message that says what follows from it. It is never
trusted, never deleted, and never a reason to end, so there is no crash loop.
"""

import os
import secrets
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from nacl.signing import SigningKey

from deployx_agent.exits import ConfigError
from deployx_agent.facts import hardware_id
from deployx_agent.logs import Log
from deployx_agent.state import durable
from deployx_protocol import checks, limits
from deployx_protocol.messages import AgentRegister
from deployx_protocol.signing import key_hash, register_bytes

MACHINE_ID_FILE = "machine_id.json"
KEY_FILE = "agent_key.json"
UNSIGNED = "0" * 128
"""Stands in a registration's ``signature`` until it is signed: the struct wants something of the right form."""


class Machine(msgspec.Struct, frozen=True):
    """The content of ``machine_id.json``."""

    machine_id: str
    source: str
    """`dmi`, `machine-id`, `IOPlatformUUID`, `MachineGuid`, `random`, `override` or `split`."""
    generation: int = 0
    """What the last `registration_success` asked to store."""


class Identity:
    """The key and the machine id, loaded from or created in ``folder``. Raises ConfigError if it cannot be written."""

    def __init__(self, folder: Path, facts_root: Path, override: str | None, log: Log) -> None:
        self._folder = folder
        self._log = log
        self.boot_id = secrets.token_hex(16)
        try:
            self._key, key_is_new = self._load_key()
            self.machine = self._load_machine(facts_root, override, key_is_new)
        except OSError as error:
            raise ConfigError(
                f"The identity in {folder} cannot be written ({error.strerror or error}). Make room, or let the agent "
                "write there."
            ) from None

    @property
    def public_key(self) -> str:
        """64 hexadecimal digits."""
        return bytes(self._key.verify_key).hex()

    def default_agent_id(self, hostname: str) -> str:
        """`<hostname>-<8 hex of the key's hash>`."""
        tail = f"-{key_hash(self.public_key)[:8]}"
        return hostname[: limits.AGENT_ID_MAX - len(tail)] + tail

    def sign(self, message: AgentRegister, nonce: str) -> AgentRegister:
        """``message`` with this identity's signature for the connection ``nonce``."""
        signature = self._key.sign(register_bytes(message, nonce)).signature.hex()
        return msgspec.structs.replace(message, signature=signature)

    def store_generation(self, generation: int) -> None:
        """Durable when this returns. Raises OSError; then the old generation still counts, here and on disk."""
        if generation != self.machine.generation:
            machine = msgspec.structs.replace(self.machine, generation=generation)
            durable.write(self._folder / MACHINE_ID_FILE, msgspec.to_builtins(machine))
            self.machine = machine

    def split(self) -> None:
        """This machine is a copy: put the copied identity aside and become somebody else. Raises OSError."""
        for name in (KEY_FILE, MACHINE_ID_FILE):
            if os.path.lexists(self._folder / name):
                durable.set_aside(self._folder / name, "copied")
        self._key = self._new_key()
        self.machine = self._write_machine(Machine(str(uuid4()), "split"))

    # ------------------------------------------------------------ the key

    def _load_key(self) -> tuple[SigningKey, bool]:
        path = self._folder / KEY_FILE
        try:
            key = durable.read(path, _parse_key)
        except durable.Unusable as why:
            aside = durable.set_aside(path)
            self._log.error(
                f"The agent's key cannot be used: {why}. It was set aside and a new one made; to the server this is a "
                "new device now: enrol it again, or accept it in the dashboard",
                set_aside=aside,
            )
            return self._new_key(), True
        if key is None:
            return self._new_key(), True
        if os.name != "nt" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
            self._log.warning("The agent's key was readable by others; it is private now", path=path)
        return key, False

    def _new_key(self) -> SigningKey:
        key = SigningKey.generate()
        durable.write(self._folder / KEY_FILE, {"seed": bytes(key).hex(), "public_key": bytes(key.verify_key).hex()})
        return key

    # ------------------------------------------------------------ machine_id.json

    def _load_machine(self, facts_root: Path, override: str | None, key_is_new: bool) -> Machine:
        path = self._folder / MACHINE_ID_FILE
        try:
            machine = durable.read(path, _parse_machine)
        except durable.Unusable as why:
            aside = durable.set_aside(path)
            self._log.warning(
                f"{MACHINE_ID_FILE} cannot be used: {why}. It was set aside and a new one made; the key is what the "
                "server knows this device by",
                set_aside=aside,
            )
            machine = None
        wanted = machine or _fresh(facts_root)
        if override and wanted.source == "split" and wanted.machine_id != override:
            self._log.warning("DEPLOYX_MACHINE_ID is ignored: this machine was split off from a copy of itself")
        elif override and wanted.machine_id != override:
            wanted = Machine(override, "override", wanted.generation)
        if key_is_new and wanted.generation:
            wanted = msgspec.structs.replace(wanted, generation=0)
        return wanted if wanted == machine else self._write_machine(wanted)

    def _write_machine(self, machine: Machine) -> Machine:
        durable.write(self._folder / MACHINE_ID_FILE, msgspec.to_builtins(machine))
        self._log.info("Machine id created", machine_id=machine.machine_id, source=machine.source)
        return machine


def has_key(folder: Path) -> bool:
    """Whether there is a key in ``folder``: this machine has been started with a server before."""
    try:
        return durable.read(folder / KEY_FILE, _parse_key) is not None
    except durable.Unusable:
        return False


def _fresh(facts_root: Path) -> Machine:
    found = hardware_id.read(facts_root)
    return Machine(*found) if found else Machine(str(uuid4()), "random")


def _parse_key(content: dict[str, Any]) -> SigningKey:
    key = SigningKey(bytes.fromhex(content["seed"]))
    if bytes(key.verify_key).hex() != content["public_key"]:
        raise ValueError("The halves of the key do not match.")
    return key


def _parse_machine(content: dict[str, Any]) -> Machine:
    machine = msgspec.convert(content, Machine, strict=True)
    checks.printable(machine.machine_id, "machine_id", limits.MACHINE_ID_MAX)
    checks.printable(machine.source, "source", limits.MACHINE_ID_MAX)
    if not 0 <= machine.generation <= limits.INT64_MAX:
        raise ValueError("The generation is out of range.")
    return machine
