"""What a deployment does next: one pure function of how it stands and what time it is.

Whoever calls ``plan`` writes what it says, in one transaction with what it was said of, and asks again until nothing is
left to do. Nothing is remembered in between, so a crash at any point costs a repeat.

Invariants: never more in flight than ``max_parallel``; no wave opens before the gate of the one before was met for as
long as the soak time, unless a person opened it; when more failed than the threshold allows nothing starts any more;
while paused or aborting nothing starts; what is in flight is never interrupted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.deployments.strategy import Strategy
from deployx_protocol.deployments import (
    IN_FLIGHT,
    DeploymentEvent,
    DeploymentState,
    Offline,
    OnFailure,
    TargetState,
)
from deployx_protocol.releases import Action

PAGE = 500
"""How many targets one transaction starts or leaves out."""
CORRELATED = 2
"""So many devices that went back because they reached no server are no accident: it may be the server."""


@dataclass(frozen=True, slots=True)
class Wave:
    """A wave as it stands. ``counts``: target state → how many, without zeros."""

    number: int
    label: str
    counts: Mapping[TargetState, int] = field(default_factory=dict)
    opened_at: datetime | None = None
    met_at: datetime | None = None
    excused: int = 0
    """Failures that somebody has seen and went on with."""

    def count(self, *states: TargetState) -> int:
        """How many of its targets are in any of ``states``."""
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def failures(self) -> int:
        """How many do not have the release although they were to get it."""
        return self.count(TargetState.FAILED, TargetState.ROLLED_BACK)

    @property
    def new_failures(self) -> int:
        """Those that nobody has seen and went on with."""
        return max(0, self.failures - self.excused)

    @property
    def unfinished(self) -> int:
        """How many are not settled."""
        return self.count(TargetState.PENDING, *IN_FLIGHT)

    @property
    def counted(self) -> int:
        """How many its gate is about."""
        return sum(self.counts.values()) - self.count(TargetState.SKIPPED) - min(self.excused, self.failures)

    def needed(self, percent: float) -> int:
        """How many have to be healthy."""
        return math.ceil(round(self.counted * percent / 100, 6))

    def is_met(self, strategy: Strategy) -> bool:
        """Whether its gate is true now."""
        if strategy.healthy_percent is None:
            return self.unfinished == 0
        return self.count(TargetState.SUCCEEDED) >= self.needed(strategy.healthy_percent)

    def is_hopeless(self, strategy: Strategy) -> bool:
        """Whether its gate can never be true."""
        if strategy.healthy_percent is None:
            return False
        return self.count(TargetState.SUCCEEDED) + self.unfinished < self.needed(strategy.healthy_percent)


@dataclass(frozen=True, slots=True)
class Situation:
    """How a deployment stands. Lists of targets are ids, in their order, at most a page of them."""

    state: DeploymentState
    strategy: Strategy
    waves: Sequence[Wave]
    following: bool = False
    deadline_at: datetime | None = None
    ready: Sequence[str] = ()
    """Targets of open waves that can be given a task now; while rolling back, those that can be told to go back."""
    overdue: Sequence[str] = ()
    """Targets whose turn it is and whose devices have been away for longer than the strategy lets them."""
    gone: Sequence[tuple[str, str]] = ()
    """Targets that can never be given a task, each with the reason."""
    pending: int = 0
    """How many were not started, of all waves, and are to get the release."""
    to_revert: int = 0
    """How many are to go back and have no task yet, their devices away or not."""
    unconfirmed: int = 0
    """How many went back by themselves for want of a server, beyond those that somebody has seen and went on with."""

    @property
    def flying(self) -> int:
        """How many are in flight."""
        return sum(wave.count(*IN_FLIGHT) for wave in self.waves)

    @property
    def room(self) -> int:
        """How many more may be in flight."""
        most = self.strategy.max_parallel
        return PAGE if most is None else max(0, min(PAGE, most - self.flying))

    @property
    def failures(self) -> int:
        """How many failed, those seen included."""
        return sum(wave.failures for wave in self.waves)


@dataclass(frozen=True, slots=True)
class Start:
    """Give these targets a task."""

    targets: Sequence[str]
    action: Action


@dataclass(frozen=True, slots=True)
class OpenWave:
    """The turn of wave ``number`` has come."""

    number: int


@dataclass(frozen=True, slots=True)
class NoteGate:
    """The gate of wave ``number`` is met from now on, or no longer."""

    number: int
    met: bool


@dataclass(frozen=True, slots=True)
class Move:
    """The deployment takes ``event``; ``failures``: some do not have the release."""

    event: DeploymentEvent
    reason: str
    failures: bool = False


@dataclass(frozen=True, slots=True)
class SkipPending:
    """Nothing that was not started is started any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """These targets get no task. ``failed``: that counts as a failure, otherwise they are left out."""

    targets: Sequence[str]
    reason: str
    failed: bool = False


Step = Start | OpenWave | NoteGate | Move | SkipPending | GiveUp


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again although nothing happened."""

    steps: Sequence[Step] = ()
    wake_at: datetime | None = None


def plan(now_is: Situation, now: datetime) -> Plan:
    """What follows from ``now_is``. Once it is written, ask again: a plan without steps is the end for now."""
    match now_is.state:
        case DeploymentState.RUNNING:
            return _running(now_is, now)
        case DeploymentState.ABORTING:
            return Plan(_ending(now_is, "the deployment was aborted before its turn", "aborted"))
        case DeploymentState.ROLLING_BACK:
            return _rolling_back(now_is)
    return Plan()


def _ending(now_is: Situation, skipped: str, how: str) -> list[Step]:
    if now_is.pending:
        return [SkipPending(skipped)]
    return [] if now_is.flying else [Move(DeploymentEvent.END, how)]


# ---------------------------------------------------------------- running


def _running(now_is: Situation, now: datetime) -> Plan:
    stop = _too_much(now_is)
    if stop:
        return Plan([stop])
    given_up = _given_up(now_is)
    if given_up:
        return Plan(given_up)
    late = now_is.deadline_at is not None and now >= now_is.deadline_at
    if late and now_is.pending:
        return Plan([SkipPending("the deployment's deadline passed before its turn")])
    opens_at = now_is.strategy.opens_at(now)
    steps, soaked_at = _waves(now_is, now, may_open=opens_at <= now)
    if not steps and opens_at <= now and now_is.room and now_is.ready:
        steps = [Start(now_is.ready[: now_is.room], Action.INSTALL)]
    if not steps:
        end = _end(now_is, late)
        steps = [end] if end else []
    later = [soaked_at, now_is.deadline_at if not late else None]
    wakes = [at for at in [*later, opens_at] if at is not None and at > now]
    return Plan(steps, min(wakes, default=None))


def _too_much(now_is: Situation) -> Move | None:
    """Whether to stop, and why."""
    strategy = now_is.strategy
    if now_is.unconfirmed >= CORRELATED:
        return Move(
            DeploymentEvent.STOP,
            f"{now_is.unconfirmed} devices went back by themselves because they reached no server: look at the server "
            "and the network first",
        )
    why = _over_threshold(now_is) or next(
        (f"the gate of wave {wave.number} can not be met any more" for wave in _hopeless(now_is.waves, strategy)), ""
    )
    if not why:
        return None
    undo = strategy.on_failure is OnFailure.ROLL_BACK and not now_is.unconfirmed
    return Move(DeploymentEvent.UNDO if undo else DeploymentEvent.STOP, why)


def failed_waves(waves: Sequence[Wave], strategy: Strategy) -> set[int]:
    """The numbers of those for which nothing follows until somebody decides: more of them failed than may."""
    return {wave.number for wave in (*_beyond(waves, strategy), *_hopeless(waves, strategy))}


def _hopeless(waves: Sequence[Wave], strategy: Strategy) -> list[Wave]:
    return [wave for wave in waves if wave.opened_at and wave.is_hopeless(strategy)]


def _beyond(waves: Sequence[Wave], strategy: Strategy) -> list[Wave]:
    """Those with failures that count, where there are more than the threshold allows."""
    threshold = strategy.threshold
    if threshold.count is not None:
        failing = [wave for wave in waves if wave.new_failures]
        return failing if sum(wave.new_failures for wave in failing) > threshold.count else []
    return [wave for wave in waves if wave.new_failures > threshold.allowed(sum(wave.counts.values()))]


def _over_threshold(now_is: Situation) -> str:
    threshold = now_is.strategy.threshold
    beyond = _beyond(now_is.waves, now_is.strategy)
    if not beyond:
        return ""
    if threshold.count is not None:
        failed = sum(wave.new_failures for wave in beyond)
        return f"{_devices(failed)} failed, and {threshold.text} may"
    [wave, *_] = beyond
    total = sum(wave.counts.values())
    return f"{_devices(wave.new_failures)} of the {total} of wave {wave.number} failed, and {threshold.text} may"


def _devices(count: int) -> str:
    return f"{count} {'device' if count == 1 else 'devices'}"


def _given_up(now_is: Situation) -> list[Step]:
    reverting = now_is.state is DeploymentState.ROLLING_BACK
    steps: list[Step] = [
        GiveUp([id for id, why in now_is.gone if why == reason], reason, failed=reverting)
        for reason in sorted({reason for _, reason in now_is.gone})
    ]
    if now_is.overdue:
        failed = reverting or now_is.strategy.offline is Offline.FAIL
        steps.append(GiveUp(now_is.overdue, "its device was away for too long", failed=failed))
    return steps


def _waves(now_is: Situation, now: datetime, *, may_open: bool) -> tuple[list[Step], datetime | None]:
    """What becomes of the waves, and when the soak time of the last open one is over."""
    opened = [wave for wave in now_is.waves if wave.opened_at]
    waiting = [wave for wave in now_is.waves if not wave.opened_at]
    if not opened:
        return ([OpenWave(waiting[0].number)] if may_open and waiting else []), None
    last = opened[-1]
    met = last.is_met(now_is.strategy)
    if met and last.met_at is None:
        return [NoteGate(last.number, met=True)], None
    if not met:
        return ([NoteGate(last.number, met=False)] if last.met_at else []), None
    assert last.met_at is not None
    soaked_at = last.met_at + timedelta(seconds=now_is.strategy.soak_s)
    if waiting and may_open and now >= soaked_at:
        return [OpenWave(waiting[0].number)], None
    return [], soaked_at if waiting else None


def _end(now_is: Situation, late: bool) -> Move | None:
    if now_is.flying or now_is.pending or (now_is.following and not late):
        return None
    if not late and any(wave.opened_at is None for wave in now_is.waves):
        return None
    healthy = sum(wave.count(TargetState.SUCCEEDED) for wave in now_is.waves)
    if now_is.failures:
        return Move(DeploymentEvent.END, f"{_devices(now_is.failures)} could not get it", failures=True)
    if late:
        return Move(DeploymentEvent.END, "its deadline passed", failures=not now_is.following)
    if not healthy:
        return Move(DeploymentEvent.END, "every device was left out", failures=True)
    return Move(DeploymentEvent.END, "")


# ---------------------------------------------------------------- rolling back


def _rolling_back(now_is: Situation) -> Plan:
    if now_is.pending:
        return Plan([SkipPending("the deployment was rolled back before its turn")])
    steps = _given_up(now_is)
    if not steps and now_is.room and now_is.ready:
        steps = [Start(now_is.ready[: now_is.room], Action.REVERT)]
    if not steps and not now_is.flying and not now_is.to_revert:
        steps = [Move(DeploymentEvent.END, "")]
    return Plan(steps)
