"""What a simulated machine does with a release: the phases it goes through, how long they last, and how it ends.

Nothing is executed. A release says in its description what simulated machines do with it, in words such as
``sim:seconds=0.5 sim:failed=0.1``; which machines that share hits is the same every time, so that a repeat fails again.

| Word | Means |
|---|---|
| ``seconds`` | how long an install lasts, from fetching to the end |
| ``failed`` | the share of machines on which nothing can be changed: it fails untouched |
| ``unhealthy`` | the share that put the previous version back, because the new one is sick |
| ``unconfirmed`` | the share that put it back, because they reached no server |
| ``stuck`` | the share on which going back fails |

Invariant: what is in place changes at one moment, between two phases, as a rename does; whoever is killed before it has
the version before, and whoever is killed after it, and before the end, goes back to that, as a real agent does.
"""

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from app.sim.machine import Machine
from deployx_protocol import releases
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.releases import Action, Outcome, Phase
from deployx_protocol.tasks import TaskCode, TaskState

_WORD = re.compile(r"sim:([a-z]+)=([0-9.]+)")
_SECONDS = 0.4
_STEPS = 6

At = Callable[..., None]
"""Told of each phase, and how much of it is done."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task with a release ended."""

    state: TaskState
    outcome: Outcome
    code: str = ""
    exit_code: int | None = None
    message: str = ""


UNREADABLE = Ended(
    TaskState.FAILED, Outcome.UNTOUCHED, TaskCode.RELEASE_UNREADABLE, message="This is no release: it cannot be read."
)
_WHY: dict[str, str] = {
    TaskCode.RELEASE_UNFIT: "Nothing can be changed here: this simulated machine is one of those on which it fails.",
    TaskCode.RELEASE_UNHEALTHY: "`health` did not succeed within 60 s: it ended with exit code 1.",
    TaskCode.RELEASE_UNCONFIRMED: "The server could not be reached within 60 s after the release was healthy.",
}
"""In the words of a real agent, as far as there is one for it."""
_NOT_UNDONE = "It could not be undone: `uninstall` failed with exit code 1."
_DONE = TaskState.SUCCEEDED
_UNCOMMITTED = frozenset({Phase.CHECKING, Phase.CONFIRMING, Phase.REVERTING})


async def handle(machine: Machine, action: Action, sha256: str, payload: bytes, at: At) -> Ended:
    """Do with the release in ``payload`` what ``action`` says."""
    try:
        manifest = releases.parse(payload)
    except InvalidPayload:
        return UNREADABLE
    words = words_of(manifest.description)
    pause_s = words.get("seconds", _SECONDS) / _STEPS
    place = machine.installed.setdefault(manifest.name, [])
    if action is Action.INSTALL:
        return await _install(Luck(machine, sha256, words), place, sha256, pause_s, at)
    return await _revert(Luck(machine, sha256, words), place, sha256, pause_s, at)


def cut_short(machine: Machine, action: Action, sha256: str, phase: Phase | None) -> Outcome:
    """What the next process of an agent that was killed at ``phase`` makes of it, and says."""
    places = [place for place in machine.installed.values() if place and place[-1] == sha256]
    if action is Action.REVERT or phase not in _UNCOMMITTED or not places:
        return Outcome.NONE
    places[0].pop()
    return Outcome.REVERTED


def words_of(description: str) -> dict[str, float]:
    """What a description says to simulated machines."""
    return {name: float(value) for name, value in _WORD.findall(description)}


@dataclass(frozen=True, slots=True)
class Luck:
    """What becomes of a release on one machine."""

    machine: Machine
    sha256: str
    words: dict[str, float]

    def hits(self, word: str) -> bool:
        """Whether this machine is among the share that ``word`` names; always or never."""
        dice = random.Random(f"{self.machine.machine_id}:{self.sha256}:{word}")  # noqa: S311 - to be repeated
        return dice.random() < self.words.get(word, 0.0)


async def _install(luck: Luck, place: list[str], sha256: str, pause_s: float, at: At) -> Ended:
    at(Phase.DETECTING)
    await asyncio.sleep(pause_s)
    if place and place[-1] == sha256:
        return Ended(_DONE, Outcome.ALREADY, exit_code=0)
    for percent in (40, 100):
        at(Phase.FETCHING, percent)
        await asyncio.sleep(pause_s)
    if luck.hits("failed"):
        code = TaskCode.RELEASE_UNFIT
        return Ended(TaskState.FAILED, Outcome.UNTOUCHED, code, message=_WHY[code])
    at(Phase.INSTALLING)
    await asyncio.sleep(pause_s)
    place.append(sha256)
    at(Phase.CHECKING)
    await asyncio.sleep(pause_s)
    for word, code in (("unhealthy", TaskCode.RELEASE_UNHEALTHY), ("unconfirmed", TaskCode.RELEASE_UNCONFIRMED)):
        if luck.hits(word):
            return await _back(luck, place, pause_s, at, TaskState.FAILED, code)
    at(Phase.CONFIRMING)
    await asyncio.sleep(pause_s)
    return Ended(_DONE, Outcome.INSTALLED, exit_code=0)


async def _revert(luck: Luck, place: list[str], sha256: str, pause_s: float, at: At) -> Ended:
    if not place or place[-1] != sha256:
        return Ended(_DONE, Outcome.REVERTED, exit_code=0)  # it is not there: an earlier task went back already
    return await _back(luck, place, pause_s, at, _DONE, "")


async def _back(luck: Luck, place: list[str], pause_s: float, at: At, state: TaskState, code: str) -> Ended:
    at(Phase.REVERTING)
    await asyncio.sleep(pause_s)
    if luck.hits("stuck"):
        said = f"{_WHY[code]} {_NOT_UNDONE}" if code else _NOT_UNDONE
        return Ended(TaskState.FAILED, Outcome.REVERT_FAILED, code or TaskCode.RELEASE_FAILED, message=said)
    place.pop()
    return Ended(state, Outcome.REVERTED, code, 0 if state is _DONE else None, _WHY.get(code, ""))
