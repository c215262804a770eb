"""What a release is: the manifest that its maker writes, signs, and every device reads for itself.

It is the payload of a DSSE envelope (``dsse``). A device gets the payload by its SHA-256 and checks hash and signatures
before it reads a word. Invariants: a key that a reader does not know makes it refuse the whole; nothing in a manifest
names a server, so the same release means the same everywhere.
"""

import re
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from deployx_protocol import checks, limits, release_rules
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.release_rules import InvalidField

PAYLOAD_TYPE: Final = "application/vnd.deployx.release.v1+json"

AGENT_NAME: Final = "deployx-agent"
"""What every update of the agent is called: a machine has one agent, and its updates have one row of numbers."""
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~:_-]{0,63}")

Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Timeout = Annotated[float, Meta(gt=0, le=limits.RUN_TIMEOUT_MAX_S)]


class Kind(StrEnum):
    """What a release consists of."""

    SCRIPT = "script"  # `install` does it all
    ARCHIVE = "archive"  # an archive is unpacked beside the version that runs, then takes its place at once
    FILE = "file"  # one file, put in its place at once
    PACKAGE = "package"  # a package of the machine's own package manager
    AGENT = "agent"  # the agent itself, in a slot beside the one that runs


class PackageState(StrEnum):
    """What is wanted of a package."""

    PRESENT = "present"  # any version
    ABSENT = "absent"
    VERSION = "version"  # exactly `version`
    LATEST = "latest"  # what the machine's repositories have


class Reboot(StrEnum):
    """When the machine is restarted after the install, before detect and health."""

    NEVER = "never"
    IF_NEEDED = "if_needed"  # when the system says so
    ALWAYS = "always"


class Action(StrEnum):
    """What a task does with a release."""

    INSTALL = "install"  # from detect to the durable commit; undoes itself if it has to
    REVERT = "revert"  # back to what was there before
    REMOVE = "remove"  # `uninstall`


class Phase(StrEnum):
    """What a running task of a release is at."""

    FETCHING = "fetching"  # artifacts, those of the previous version as well
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    DETECTING = "detecting"
    CHECKING = "checking"  # health
    CONFIRMING = "confirming"  # whether a server can still be reached
    REVERTING = "reverting"


class Outcome(StrEnum):
    """What became of a release on a device, once its task has ended."""

    NONE = ""
    INSTALLED = "installed"
    ALREADY = "already"  # detect said that it is there: nothing was done
    REVERTED = "reverted"  # the previous version is back, and works
    REVERT_FAILED = "revert_failed"  # it could not be brought back: somebody has to look
    REMOVED = "removed"
    UNTOUCHED = "untouched"  # refused or failed before anything was changed


class Artifact(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that the release brings along; `name` is what the rest of the manifest calls it."""

    name: str
    sha256: Hex64
    size: Annotated[int, Meta(ge=0, le=limits.INT64_MAX)]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", self.name):
            raise InvalidField(
                "name", f"An artifact cannot be named {self.name[:40]!r}: letters, digits and . _ + - only."
            )


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program to run in the release's work folder, where its artifacts are. Exactly one of the first three is set."""

    command: list[str] | None = None
    shell: str | None = None
    artifact: str | None = None
    """An artifact that is run."""
    interpreter: list[str] = []
    """What runs the artifact; empty: its `#!` line."""
    args: list[str] = []
    env: dict[str, str] = {}
    timeout_s: Timeout = 600.0

    def __post_init__(self) -> None:
        if [self.command, self.shell, self.artifact].count(None) != 2:
            raise InvalidPayload("A step is one of `command`, `shell` and `artifact`.")
        if self.command is not None and not (self.command and self.command[0].strip()):
            raise InvalidField("command", "The `command` of a step names no program.")
        if self.shell is not None and not self.shell.strip():
            raise InvalidField("shell", "The `shell` line of a step is empty.")
        if self.artifact is None and (self.interpreter or self.args):
            wrong = "interpreter" if self.interpreter else "args"
            raise InvalidField(wrong, f"`{wrong}` of a step goes with `artifact` alone.")
        release_rules.text(self.shell or "", "shell", limits.COMMAND_MAX_BYTES)
        for field in ("command", "interpreter", "args"):
            release_rules.arguments(getattr(self, field) or (), field)
        release_rules.environment(self.env)


class Archive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An archive (tar, tar.gz, tar.xz, zip) that becomes the folder `into`."""

    artifact: str
    into: str
    strip: Annotated[int, Meta(ge=0, le=8)] = 0
    """How many leading folders of each name are dropped."""
    unpacked_max_bytes: Annotated[int, Meta(gt=0, le=1 << 40)] = 1 << 33


class File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that becomes `path`."""

    artifact: str
    path: str
    mode: Annotated[str, Meta(pattern="^0?[0-7]{3}$")] = "0644"
    owner: str = ""

    def __post_init__(self) -> None:
        release_rules.owner(self.owner)


class Package(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package, from the machine's own repositories."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}$")]
    state: PackageState = PackageState.PRESENT
    version: Annotated[str, Meta(max_length=128)] = ""

    def __post_init__(self) -> None:
        if (self.state is PackageState.VERSION) != bool(self.version):
            raise InvalidField("version", "`version` of a package goes with `state: version`, and is needed there.")
        if not re.fullmatch(r"[A-Za-z0-9.+~:_-]*", self.version) or self.version.startswith("-"):
            raise InvalidField("version", f"{self.version[:40]!r} is no version of a package.")


class AgentBundle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of the agent. What vouches for it is the metadata, whose keys no server has."""

    version: Annotated[str, Meta(pattern=f"^{VERSION.pattern}$")]
    """What the agent says that it is. A release of it with newer metadata has another `version` of its own."""
    bundle: str
    """The artifact with its wheels, a tar."""
    metadata: str
    """The artifact with the TUF metadata that names the bundle, see ``updates``."""


class Health(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the release counts as healthy: `check` succeeds `successes` times in a row, within `within_s`."""

    check: Step
    interval_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 5.0
    successes: Annotated[int, Meta(ge=1, le=100)] = 1
    within_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0


class Previous(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version to go back to: another release, whose payload and artifacts are fetched before anything is changed.

    A package or a kept folder needs none: what was there before is remembered, and brought back."""

    version: str
    sha256: Hex64
    """Of its payload."""
    size: Annotated[int, Meta(gt=0, le=limits.RELEASE_MAX_BYTES)]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A release. `number` grows with each release of a name, whatever `version` says: a device never takes a lower one
    but to go back."""

    name: str
    version: str
    number: Annotated[int, Meta(ge=1, le=limits.INT64_MAX)]
    kind: Kind
    platforms: Annotated[list[str], Meta(min_length=1, max_length=16)]
    """`linux`, `darwin`, `windows`, each alone or with an architecture: `linux/x86_64`."""
    artifacts: Annotated[list[Artifact], Meta(max_length=64)] = []
    archive: Archive | None = None
    file: File | None = None
    package: Package | None = None
    agent: AgentBundle | UnsetType = UNSET
    """Left out of every other kind, so that agents that do not know it take these."""
    install: Step | None = None
    """Of a script all of it; of the other kinds what follows when the files are in their place."""
    detect: Step | None = None
    """Succeeds when this version is there. A package, a file and an archive are also looked for by themselves."""
    health: Health | None = None
    uninstall: Step | None = None
    previous: Previous | None = None
    confirm_s: Annotated[float, Meta(ge=10, le=86_400)] | None = None
    """The agent undoes the release by itself unless a server answers within this time after it is healthy."""
    reboot: Reboot = Reboot.NEVER
    timeout_s: Timeout = 3_600.0
    """For all of it."""
    description: Annotated[str, Meta(max_length=2_000)] = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InvalidField(
                "name", f"A release cannot be named {self.name[:40]!r}: lower case, digits and . _ - only."
            )
        if not VERSION.fullmatch(self.version):
            raise InvalidField("version", f"{self.version[:40]!r} is no version: letters, digits and . + ~ : _ - only.")
        try:
            checks.printable(self.description, "description", 2_000, empty=True)
        except InvalidPayload as error:
            raise InvalidField("description", str(error)) from None
        release_rules.platforms(self.platforms)
        self._check_kind()
        self._check_artifacts()

    def _check_kind(self) -> None:
        wanted = {Kind.ARCHIVE: "archive", Kind.FILE: "file", Kind.PACKAGE: "package", Kind.AGENT: "agent"}
        for kind, field in wanted.items():
            if bool(getattr(self, field)) != (self.kind is kind):
                raise InvalidField(field, f"`{field}` goes with `kind: {kind.value}`, and is needed there.")
        if self.kind is Kind.SCRIPT and (self.install is None or self.detect is None):
            missing = "install" if self.install is None else "detect"
            raise InvalidField(
                missing, "A script needs `install`, and `detect`, which says whether it is there already."
            )
        self._check_agent()
        if self.package and any(not name.startswith("linux") for name in self.platforms):
            raise InvalidField("platforms", "A package is for `linux` alone so far, where apt or dnf installs it.")
        if self.archive:
            release_rules.place(self.archive.into, "into", self.platforms, folder=True)
        if self.file:
            release_rules.place(self.file.path, "path", self.platforms, folder=False)
        if self.previous and self.previous.version == self.version:
            raise InvalidField("previous", f"The previous version cannot be {self.version} itself.")

    def _check_agent(self) -> None:
        if self.kind is not Kind.AGENT:
            return
        if self.name != AGENT_NAME:
            raise InvalidField("name", f"An update of the agent is named {AGENT_NAME}.")
        for field in ("install", "detect", "health", "uninstall", "previous", "confirm_s"):
            if getattr(self, field) is not None:
                raise InvalidField(field, f"An update of the agent has no `{field}`: the agent sees to all of it.")
        if self.reboot is not Reboot.NEVER:
            raise InvalidField("reboot", "An update of the agent restarts no machine.")

    def _check_artifacts(self) -> None:
        names = [one.name for one in self.artifacts]
        if len({name.lower() for name in names}) < len(names):
            raise InvalidField(
                "artifacts", "Two artifacts have the same name, or differ by upper and lower case alone."
            )
        missing = sorted(self._referred() - set(names))
        if missing:
            raise InvalidField("artifacts", f"`artifacts` does not list {', '.join(missing)}.")

    def runs_on(self, platform: str, architecture: str) -> bool:
        """Whether it is for a machine: `linux`, `darwin` or `windows`, and the architecture by any of its names."""
        return release_rules.fits(self.platforms, platform, architecture)

    def steps(self) -> dict[str, Step]:
        """The programs it runs, by what they are for."""
        health = self.health.check if self.health else None
        each = {"install": self.install, "detect": self.detect, "health": health, "uninstall": self.uninstall}
        return {name: step for name, step in each.items() if step is not None}

    def _referred(self) -> set[str]:
        named = {step.artifact for step in self.steps().values() if step.artifact}
        if self.agent:
            named |= {self.agent.bundle, self.agent.metadata}
        return named | {part.artifact for part in (self.archive, self.file) if part is not None}


def parse(payload: bytes) -> Manifest:
    """The manifest in a payload. Raises InvalidPayload, also for what is not written in the one form of ``payload_of``:
    so no two readers, and no two payloads, can be made to differ."""
    if len(payload) > limits.RELEASE_MAX_BYTES:
        raise InvalidPayload(
            f"A release has at most {limits.RELEASE_MAX_BYTES:,} bytes; this one has {len(payload):,}."
        )
    try:
        if msgspec.json.encode(msgspec.json.decode(payload), order="sorted") != payload:
            raise InvalidPayload("This is no release: its JSON is not written in the one form that is signed.")
        return msgspec.json.decode(payload, type=Manifest)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidPayload(f"This is no release: {str(error).rstrip('.')}.") from None


def payload_of(manifest: Manifest) -> bytes:
    """The one form in which ``manifest`` is signed, stored and sent."""
    return msgspec.json.encode(manifest, order="sorted")
