"""Who is this? Pure rules over one registration and the rows it touches: no I/O, so that every case can be tested.

The table in docs/architecture.md ("Identity"), top to bottom. Invariant: a row that has a key is never changed by
anyone who does not hold that key.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.devices.models import Claim, Device
from deployx_protocol.messages import AgentRegister
from deployx_protocol.states import ClaimKind, Trust
from deployx_protocol.tasks import TaskCode

FORKS_KEPT = 32


class Lineage(StrEnum):
    """How the generation that an agent presents relates to what the server has handed out."""

    CURRENT = "current"
    BEHIND = "behind"  # a snapshot of the agent was restored
    AHEAD = "ahead"  # the server was restored
    FORKED = "forked"  # a generation that another copy has left behind: there are two of them


class Verdict(StrEnum):
    """What a known key leads to."""

    CONTINUE = "continue"  # it is the device
    CONTEST = "contest"  # find out who is alive: someone else is connected with this key, or this may be an old message
    QUARANTINE = "quarantine"  # the identity is in conflict
    SPLIT = "split"  # this is the copy that was told to become a device of its own


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict; ``kind`` and ``detail`` go with QUARANTINE, ``lineage`` with all."""

    verdict: Verdict
    lineage: Lineage
    kind: ClaimKind | None = None
    detail: str = ""


def judge(
    device: Device,
    message: AgentRegister,
    *,
    live_boot: str | None,
    alive: bool,
    is_there: bool,
    splitting: Claim | None,
) -> Judgement:
    """Judge a registration with a key that ``device`` has.

    ``live_boot`` is the boot id of another connection that is open for this device, or None; ``alive`` says that this
    other connection was probed and answered, ``is_there`` that this one was; ``splitting`` is a claim that was answered
    with "split" and still waits for its copy.
    """
    lineage = lineage_of(device, message.generation)
    contested = live_boot is not None and live_boot != message.boot_id
    if splitting and _is_the_copy(device, message, splitting, contested and alive):
        return Judgement(Verdict.SPLIT, lineage)
    if contested and not alive:
        return Judgement(Verdict.CONTEST, lineage)
    if contested:
        return Judgement(Verdict.QUARANTINE, lineage, ClaimKind.CLONED, "Two agents are connected with the same key.")
    if lineage in (Lineage.BEHIND, Lineage.FORKED) and not is_there:  # a process that went says no more about its state
        return Judgement(Verdict.CONTEST, lineage)
    if lineage is Lineage.FORKED:
        detail = "The same key was used by two copies in turn: this one presents a state that the other left behind."
        return Judgement(Verdict.QUARANTINE, lineage, ClaimKind.CLONED, detail)
    changed, known = differing_facts(device.fingerprint, message.fingerprint)
    if changed * 2 > known:
        detail = f"{changed} of {known} hardware facts differ from those this device was known by."
        return Judgement(Verdict.QUARANTINE, lineage, ClaimKind.MOVED, detail)
    return Judgement(Verdict.CONTINUE, lineage)


def lineage_of(device: Device, presented: int) -> Lineage:
    """Where ``presented`` stands among the generations of ``device``."""
    if presented in (device.generation, device.generation_issued):
        return Lineage.CURRENT
    if presented > device.generation_issued:
        return Lineage.AHEAD
    if any(low <= presented <= high for low, high in device.generation_forks):
        return Lineage.FORKED
    return Lineage.BEHIND


def lost_memory(device: Device, message: AgentRegister, lineage: Lineage) -> TaskCode | None:
    """Why an agent does not know what its device was given, if so: another journal, or an earlier state of it."""
    if device.journal_id and message.journal_id != device.journal_id:
        return TaskCode.JOURNAL_NEW
    put_back = lineage in (Lineage.BEHIND, Lineage.FORKED) or message.journal_high_water < device.journal_high_water
    return TaskCode.JOURNAL_RESTORED if put_back else None


def next_generation(device: Device, presented: int) -> tuple[int, list[list[int]]]:
    """The generation to hand out to an agent that presents ``presented``, and the ranges that are left behind then.

    Every number is handed out once. An agent that presents a number below the last one handed out has not stored
    what came after it; whoever presents one of those later is another copy of the same state.
    """
    forks = device.generation_forks
    if presented < device.generation_issued:
        forks = _merged([*forks, [presented + 1, device.generation_issued]])
    return max(presented, device.generation_issued) + 1, forks


def _merged(forks: list[list[int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for low, high in sorted(forks):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = [merged[-1][0], max(high, merged[-1][1])]
        else:
            merged.append([low, high])
    return merged[-FORKS_KEPT:]


def differing_facts(known: dict[str, str], presented: dict[str, str]) -> tuple[int, int]:
    """How many of the facts in ``known`` are missing or different in ``presented``, and how many there are."""
    return sum(1 for name, value in known.items() if presented.get(name) != value), len(known)


def _is_the_copy(device: Device, message: AgentRegister, claim: Claim, other_is_alive: bool) -> bool:
    if message.boot_id == claim.boot_id:
        return True
    if message.boot_id == claim.holder_boot_id:
        return False
    unlike_device, _ = differing_facts(device.fingerprint, message.fingerprint)
    unlike_copy, _ = differing_facts(claim.fingerprint, message.fingerprint)
    return unlike_copy < unlike_device or (unlike_copy == unlike_device and other_is_alive)


def admitted_trust(*, keyed: bool, by_token: bool) -> Trust:
    """What a new device may be given, once the enrolment policy has let it in."""
    if not keyed:
        return Trust.UNVERIFIED
    return Trust.TRUSTED if by_token else Trust.PENDING


def free_name(wanted: str, taken: str, longest: int) -> str:
    """An id for a device whose ``wanted`` id belongs to another one: the id, ``~`` and a distinguishing ``taken``."""
    return f"{wanted[: longest - len(taken) - 1]}~{taken}"
