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
the version before, and whoever is killed after it has the new one and finds it when asked again.
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


UNREADABLE = Ended(TaskState.FAILED, Outcome.UNTOUCHED, TaskCode.RELEASE_UNREADABLE)
_DONE = TaskState.SUCCEEDED


async def handle(machine: Machine, action: Action, sha256: str, payload: bytes, at: At) -> Ended:
    """Do with the release in ``payload`` what ``action`` says."""
    try:
        manifest = releases.parse(payload)
    except InvalidPayload:
        return UNREADABLE
    words = {name: float(value) for name, value in _WORD.findall(manifest.description)}
    pause_s = words.get("seconds", _SECONDS) / _STEPS
    place = machine.installed.setdefault(manifest.name, [])
    if action is Action.INSTALL:
        return await _install(_Luck(machine, sha256, words), place, sha256, pause_s, at)
    return await _revert(_Luck(machine, sha256, words), place, sha256, pause_s, at)


@dataclass(frozen=True, slots=True)
class _Luck:
    machine: Machine
    sha256: str
    words: dict[str, float]

    def hits(self, word: str) -> bool:
        """Whether this machine is among the share that ``word`` names; always or never."""
        dice = random.Random(f"{self.machine.machine_id}:{self.sha256}:{word}")  # noqa: S311 - to be repeated
        return dice.random() < self.words.get(word, 0.0)


async def _install(luck: _Luck, place: list[str], sha256: str, pause_s: float, at: At) -> Ended:
    at(Phase.DETECTING)
    await asyncio.sleep(pause_s)
    if place and place[-1] == sha256:
        return Ended(_DONE, Outcome.ALREADY, exit_code=0)
    for percent in (40, 100):
        at(Phase.FETCHING, percent)
        await asyncio.sleep(pause_s)
    if luck.hits("failed"):
        return Ended(TaskState.FAILED, Outcome.UNTOUCHED, TaskCode.RELEASE_UNFIT)
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


async def _revert(luck: _Luck, place: list[str], sha256: str, pause_s: float, at: At) -> Ended:
    if not place or place[-1] != sha256:
        return Ended(_DONE, Outcome.REVERTED, exit_code=0)  # it is not there: an earlier task went back already
    return await _back(luck, place, pause_s, at, _DONE, "")


async def _back(luck: _Luck, place: list[str], pause_s: float, at: At, state: TaskState, code: str) -> Ended:
    at(Phase.REVERTING)
    await asyncio.sleep(pause_s)
    if luck.hits("stuck"):
        return Ended(TaskState.FAILED, Outcome.REVERT_FAILED, code or TaskCode.RELEASE_FAILED)
    place.pop()
    return Ended(state, Outcome.REVERTED, code, exit_code=0 if state is _DONE else None)
