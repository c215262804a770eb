"""What a machine lets its server do: the rules of its policy file, and what follows from them.

The agent enforces them and reports them; the server, which cannot change them, foretells by the same function what a
machine will refuse. Pure but for the time zones of the system. Invariants: a key that is not known makes the whole
policy unusable; rules that protect nothing without another one bring that one along, or are refused.
"""

import math
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from deployx_protocol import checks
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.messages import Message
from deployx_protocol.policy_hours import Hours
from deployx_protocol.signed_runs import Asked, Moment, key_id, plausible
from deployx_protocol.tasks import TaskCode

KEYS_MAX = 32
SCRIPTS_MAX = 100
USERS_MAX = 100
Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
PATH_MAX = 500
ERROR_MAX = 500


class Demand(StrEnum):
    """Whose word is enough."""

    ANY = "any"  # the server's
    SIGNED = "signed"  # an operator's, by signature


class Scripts(StrEnum):
    """Which scripts may run."""

    ANY = "any"
    LISTED = "listed"
    NONE = "none"


class Releases(StrEnum):
    """Which releases may be installed. A release puts files in their place, so it can do whatever a run can."""

    ANY = "any"  # the server's word is enough
    SIGNED = "signed"  # an operator's, by signature
    NONE = "none"


class TakeBack(StrEnum):
    """Which releases the server may have taken back. What one undoes by itself, because it failed, asks nobody."""

    ANY = "any"  # the server's word is enough
    NAMED = "named"  # only to the release that the signed one names as its previous; none is removed
    NONE = "none"


class Operator(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody whose signature counts."""

    name: Name
    key: Hex64
    """The public key, as `deployx key show` prints it."""
    until: Moment | None = None
    """From then on it does not count."""

    def __post_init__(self) -> None:
        checks.printable(self.name, "name", 64)
        if self.until:
            plausible(self.until)

    @property
    def key_id(self) -> str:
        """By what the key is named."""
        return key_id(self.key)


class ListedScript(Struct, frozen=True, forbid_unknown_fields=True):
    """A script that may run, and how: who chooses interpreter, arguments or environment can make it another one."""

    sha256: Hex64
    interpreter: Annotated[list[str], Meta(min_length=1, max_length=16)]
    name: Name | None = None
    args: bool = False
    """Whether the server may pass arguments."""
    env: Annotated[list[str], Meta(max_length=64)] = []
    """Variables that the server may set."""

    def __post_init__(self) -> None:
        for word in (*self.interpreter, *self.env, *([self.name] if self.name else [])):
            checks.printable(word, "a word in script", PATH_MAX)


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy file. What it does not mention is allowed, but for what ``scripts = "listed"`` brings along."""

    stop: bool = False
    """Nothing starts."""
    stop_file: str = ""
    """Nothing starts while this file is there. `stop` beside the policy file always counts."""
    runs: Demand = Demand.ANY
    releases: Releases | None = None
    """Not said: as it is for runs; none where programs are shut out and runs need no signature."""
    take_back: TakeBack | None = None
    """Not said: any, but named where releases have to be signed."""
    threshold: Annotated[int, Meta(ge=1)] = 1
    """How many operators have to sign."""
    operator: Annotated[list[Operator], Meta(max_length=KEYS_MAX)] = []
    shell: bool | None = None
    """Whether a line for the shell may run. Not said: yes, unless scripts are listed."""
    commands: bool | None = None
    """Whether a program may run with any arguments, which can be a shell as well. Not said: yes, unless scripts
    are listed."""
    scripts: Scripts = Scripts.ANY
    script: Annotated[list[ListedScript], Meta(max_length=SCRIPTS_MAX)] = []
    users: Annotated[list[Name], Meta(max_length=USERS_MAX)] | None = None
    """As whom tasks may run."""
    max_timeout_s: Annotated[float, Meta(ge=1)] | None = None
    hours: Hours | None = None

    def __post_init__(self) -> None:
        for name in self.users or ():
            checks.printable(name, "a name in users", 64)
        checks.printable(self.stop_file, "stop_file", PATH_MAX, empty=True)
        if self.max_timeout_s is not None and not math.isfinite(self.max_timeout_s):
            raise ValueError("`max_timeout_s` has to be a number of seconds")
        signed = self.runs is Demand.SIGNED or self.release_demand is Releases.SIGNED
        if self.releases is Releases.ANY and (self.runs is Demand.SIGNED or self._shuts_out):
            raise ValueError(
                'releases = "any" would let the server put any program here, and so walk around the rules for runs; '
                'say releases = "signed" or "none"'
            )
        if self.operator and not signed:
            raise ValueError('`operator` names keys that nothing asks for; say runs = "signed"')
        if signed and len(self.operator) < self.threshold:
            raise ValueError(
                f"threshold = {self.threshold}, and {len(self.operator)} can sign; name each in an [[operator]]"
            )
        if len({one.key for one in self.operator}) < len(self.operator):
            raise ValueError("two of `operator` have the same key")
        if self.script and self.scripts is not Scripts.LISTED:
            raise ValueError('`script` lists what nothing asks for; say scripts = "listed"')
        if self.stop_file and not self.stop_file.startswith("/") and self.stop_file[1:3] != ":\\":
            raise ValueError("`stop_file` has to be an absolute path")

    @property
    def may_shell(self) -> bool:
        """Whether a line for the shell may run."""
        return self.scripts is not Scripts.LISTED if self.shell is None else self.shell

    @property
    def may_command(self) -> bool:
        """Whether any program may run."""
        return self.scripts is not Scripts.LISTED if self.commands is None else self.commands

    @property
    def release_demand(self) -> Releases:
        """What a release needs here."""
        if self.releases is not None:
            return self.releases
        if self.runs is Demand.SIGNED:
            return Releases.SIGNED
        return Releases.NONE if self._shuts_out else Releases.ANY

    @property
    def may_take_back(self) -> TakeBack:
        """Which releases the server may have taken back: a signature is for what a release puts here."""
        if self.take_back is not None:
            return self.take_back
        return TakeBack.NAMED if self.release_demand is Releases.SIGNED else TakeBack.ANY

    @property
    def _shuts_out(self) -> bool:
        """Whether there are programs that the server may not run here."""
        return not (self.may_shell and self.may_command and self.scripts is Scripts.ANY)


class PolicyReport(Message, frozen=True, kw_only=True):
    """`policy` of `agent_register`, as JSON: what a machine says of its policy."""

    file: str
    sha256: str = ""
    """Of the file."""
    error: str = ""
    """Why it cannot be used; then nothing is run."""
    stop: str = ""
    """The file that stops all work, if it is there."""
    user: str = ""
    """Whose rights a task has that names no user."""
    rules: Policy | None = None

    def __post_init__(self) -> None:
        lengths = {"file": PATH_MAX, "sha256": 64, "error": ERROR_MAX, "stop": PATH_MAX, "user": 128}
        for field, longest in lengths.items():
            checks.printable(getattr(self, field), field, longest, empty=True)


class Refusal(NamedTuple):
    """Why a task is not run here."""

    code: TaskCode
    message: str


def parse(content: dict[str, Any]) -> Policy:
    """The policy in the tables of a TOML file. Raises ValueError with a sentence."""
    try:
        return msgspec.convert(content, Policy, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def report_of(text: str) -> PolicyReport | None:
    """What a machine has reported; None if it has no policy. One that cannot be read counts as unusable."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=PolicyReport)
    except (msgspec.DecodeError, InvalidPayload, RecursionError):
        return PolicyReport(file="", error="This server does not understand it; upgrade the server.")


def forbidden(policy: Policy, asked: Asked, own_user: str, now: datetime) -> Refusal | None:
    """Why ``policy`` does not let ``asked`` start now; None if it may, as far as that needs no signature."""
    return closed(policy, now) or barred(policy, asked, own_user)


def closed(policy: Policy, now: datetime) -> Refusal | None:
    """Why nothing at all may start now."""
    if policy.stop:
        return Refusal(TaskCode.POLICY_STOP, "The policy of this machine says stop = true: nothing is run.")
    if policy.hours and (opens := policy.hours.opens_at(now)) > now:
        at = opens.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Refusal(
            TaskCode.POLICY_HOURS,
            f"The policy of this machine lets work start from {policy.hours.words()} only; next at {at}.",
        )
    return None


def barred(policy: Policy, asked: Asked, own_user: str) -> Refusal | None:
    """Why ``asked`` may not start at any time."""
    why = _kind_forbidden(policy, asked) or _form_forbidden(policy, asked, own_user)
    return Refusal(TaskCode.POLICY_FORBIDS, f"The policy of this machine {why}.") if why else None


def _kind_forbidden(policy: Policy, asked: Asked) -> str:
    if asked.shell is not None and not policy.may_shell:
        return "lets no line for the shell run; name a program and its arguments"
    if asked.command is not None and not policy.may_command:
        return "lets no command run, only the scripts that it lists"
    if asked.script_sha256 is None or policy.scripts is Scripts.ANY:
        return ""
    if policy.scripts is Scripts.NONE:
        return "lets no script run"
    listed = [one for one in policy.script if one.sha256 == asked.script_sha256]
    if not listed:
        return f"does not list this script (SHA-256 {asked.script_sha256})"
    reasons = [why for one in listed if (why := _differs(one, asked))]
    return reasons[0] if len(reasons) == len(listed) else ""


def _differs(listed: ListedScript, asked: Asked) -> str:
    if list(asked.interpreter) != listed.interpreter:
        return f"runs this script with {' '.join(listed.interpreter)!r} only"
    if asked.args and not listed.args:
        return "runs this script without arguments only"
    others = sorted({name for name, _ in asked.env} - set(listed.env))
    return f"does not let {', '.join(others)} be set for this script" if others else ""


def _form_forbidden(policy: Policy, asked: Asked, own_user: str) -> str:
    user = asked.user or own_user
    if policy.users is not None and user not in policy.users:
        return f"lets nothing run as {user or 'the agent itself'}, only as {', '.join(policy.users) or 'nobody'}"
    if policy.max_timeout_s is not None and asked.timeout_s > policy.max_timeout_s:
        return f"allows a time-out of {policy.max_timeout_s:g} s at most, and this asks for {asked.timeout_s:g} s"
    return ""
