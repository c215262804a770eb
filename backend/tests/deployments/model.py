"""A deployment in memory: the planner and the observer are the real ones, what is around them is as small as it can be.

``World`` is what a database and a fleet are to them. It checks, at each step, what must hold at any time; the test that
drives it checks what must hold at the end. A planted bug (``Bug``) is one line of the planner as it might have been.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from app.deployments import planner
from app.deployments.observing import Seen, Target, observe
from app.deployments.planner import GiveUp, Move, NoteGate, OpenWave, Plan, Situation, SkipPending, Start, Wave
from app.deployments.strategy import Strategy
from deployx_protocol.deployments import (
    IN_FLIGHT,
    OVER,
    SETTLED,
    DeploymentEvent,
    DeploymentState,
    Offline,
    OnFailure,
    Order,
    TargetEvent,
    TargetState,
    advance,
    advance_target,
)
from deployx_protocol.releases import Action, Outcome, Phase
from deployx_protocol.tasks import TaskCode, TaskState

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_AT_WORK = (DeploymentState.RUNNING, DeploymentState.ABORTING, DeploymentState.ROLLING_BACK)


class Bug(Enum):
    """What the planner would get wrong."""

    NONE = auto()
    PLACES_UNCOUNTED = auto()  # starts as many as it likes
    GATE_IGNORED = auto()  # opens the next wave at once
    SOAK_IGNORED = auto()  # opens the next wave as soon as the gate is met
    THRESHOLD_IGNORED = auto()  # goes on whatever failed
    PAUSE_IGNORED = auto()  # starts while it is paused
    ABORT_STARTS = auto()  # starts while it is being aborted
    NEVER_ENDS = auto()  # forgets to end
    UNDO_INCOMPLETE = auto()  # says that all went back while some are on their way


def strategy(**changes: object) -> Strategy:
    """A strategy; ``changes`` replace what stands here."""
    values = {
        "waves": ["1", "50%", "100%"],
        "max_parallel": None,
        "failure_threshold": "0",
        "soak_s": 0.0,
        "healthy_percent": None,
        "window": None,
        "order": Order.NAME,
        "order_seed": 0,
        "order_tag": "",
        "deadline_s": None,
        "offline": Offline.WAIT,
        "offline_after_s": 60.0,
        "on_failure": OnFailure.PAUSE,
        "attempts": 2,
    }
    return Strategy(**{**values, **changes})  # type: ignore[arg-type]


@dataclass
class Task:
    """The last task of a target, as its agent has it."""

    seen: Seen
    action: Action
    withdrawn: bool = False
    """Its device is asked to end it if it has not started."""

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.seen.state not in (TaskState.QUEUED, TaskState.SENT, TaskState.ACCEPTED, TaskState.RUNNING)


@dataclass
class Device:
    """What is really there."""

    online: bool = True
    away_since: datetime = START
    has: bool = False


@dataclass
class World:
    """A deployment to so many devices."""

    strategy: Strategy
    total: int
    bug: Bug = Bug.NONE
    now: datetime = START
    state: DeploymentState = DeploymentState.RUNNING
    targets: list[Target] = field(default_factory=list)
    tasks: dict[int, Task] = field(default_factory=dict)
    devices: list[Device] = field(default_factory=list)
    waves: list[Wave] = field(default_factory=list)
    wave_of: list[int] = field(default_factory=list)
    moved_at: datetime = START
    excused_reverts: int = 0
    flying_when_stopped: int | None = None
    """How many were in flight when more failed than may."""
    starts_when_stopped: int = 0

    def __post_init__(self) -> None:
        sizes = [size for size in self.strategy.sizes(self.total) if size]
        self.waves = [Wave(number, "") for number, _ in enumerate(sizes, 1)]
        self.wave_of = [number for number, size in enumerate(sizes, 1) for _ in range(size)]
        self.targets = [Target(TargetState.PENDING, todo="install", attempts=0) for _ in range(self.total)]
        self.devices = [Device() for _ in range(self.total)]

    # ------------------------------------------------------------ how it stands

    def counted(self) -> list[Wave]:
        """The waves with their counts."""
        counts: dict[int, dict[TargetState, int]] = {}
        for wave, target in zip(self.wave_of, self.targets, strict=True):
            of_wave = counts.setdefault(wave, {})
            of_wave[target.state] = of_wave.get(target.state, 0) + 1
        return [replace(wave, counts=counts.get(wave.number, {})) for wave in self.waves]

    def situation(self) -> Situation:
        """What the planner is told."""
        undoing = self.state is DeploymentState.ROLLING_BACK
        action = Action.REVERT if undoing else Action.INSTALL
        opened = len(self.waves) if undoing else max((w.number for w in self.waves if w.opened_at), default=0)
        waiting = [n for n, one in enumerate(self.targets) if one.todo == action.value and self.wave_of[n] <= opened]
        after = timedelta(seconds=self.strategy.offline_after_s)
        due = {
            w.number for w in self.waves if (self.moved_at if undoing else w.opened_at or self.now) <= self.now - after
        }
        overdue = [
            n
            for n in waiting
            if not self.devices[n].online
            and self.wave_of[n] in due
            and self.devices[n].away_since <= self.now - after
            and self.strategy.offline is not Offline.WAIT
        ]
        return Situation(
            state=self.state,
            strategy=self.strategy,
            waves=self.counted(),
            deadline_at=None
            if self.strategy.deadline_s is None
            else START + timedelta(seconds=self.strategy.deadline_s),
            ready=[str(n) for n in waiting if self.devices[n].online],
            overdue=[str(n) for n in overdue],
            pending=sum(one.todo == "install" for one in self.targets),
            to_revert=sum(one.todo == "revert" for one in self.targets),
            unconfirmed=max(0, self._unconfirmed() - self.excused_reverts),
        )

    def _unconfirmed(self) -> int:
        return sum(
            one.state is TargetState.ROLLED_BACK
            and one.action is Action.INSTALL
            and one.code == TaskCode.RELEASE_UNCONFIRMED
            for one in self.targets
        )

    @property
    def flying(self) -> int:
        """How many are in flight."""
        return sum(one.state in IN_FLIGHT for one in self.targets)

    # ------------------------------------------------------------ what the server does

    def turn(self) -> None:
        """Ask the planner and write what it says, until nothing is left to do."""
        for _ in range(1_000):
            made = self._plan()
            if not made.steps:
                return
            for step in made.steps:
                self._take(step)
        raise AssertionError("the planner never comes to an end")

    def _plan(self) -> Plan:
        now_is = self.situation()
        match self.bug:
            case Bug.PAUSE_IGNORED if self.state is DeploymentState.PAUSED and now_is.ready:
                return Plan([Start(now_is.ready[:1], Action.INSTALL)])
            case Bug.ABORT_STARTS if self.state is DeploymentState.ABORTING and now_is.ready:
                return Plan([Start(now_is.ready[:1], Action.INSTALL)])
            case Bug.NEVER_ENDS if self.state is DeploymentState.RUNNING:
                made = planner.plan(now_is, self.now)
                return Plan([one for one in made.steps if not (isinstance(one, Move) and one.event == "end")])
            case Bug.UNDO_INCOMPLETE if self.state is DeploymentState.ROLLING_BACK and not now_is.pending:
                made = planner.plan(now_is, self.now)
                return made if made.steps else Plan([Move(DeploymentEvent.END, "")])
            case Bug.THRESHOLD_IGNORED:
                now_is = replace(now_is, waves=[replace(w, excused=self.total) for w in now_is.waves], unconfirmed=0)
            case Bug.PLACES_UNCOUNTED:
                now_is = replace(now_is, strategy=strategy_with(self.strategy, max_parallel=None))
            case Bug.SOAK_IGNORED:
                now_is = replace(now_is, strategy=strategy_with(self.strategy, soak_s=0.0))
            case Bug.GATE_IGNORED if self.state is DeploymentState.RUNNING:
                waiting = [w.number for w in self.waves if not w.opened_at]
                if waiting:
                    return Plan([OpenWave(waiting[0])])
        return planner.plan(now_is, self.now)

    def _take(self, step: planner.Step) -> None:
        match step:
            case Start():
                for id in step.targets:
                    self._start(int(id), step.action)
            case OpenWave():
                self._check_opening(step.number)
                self._wave(step.number, opened_at=self.now)
            case NoteGate():
                self._wave(step.number, met_at=self.now if step.met else None)
            case Move():
                self.move(step.event, failures=step.failures)
            case SkipPending():
                for n, one in enumerate(self.targets):
                    if one.todo == "install":
                        after = TargetState.FAILED if one.touched else TargetState.SKIPPED
                        self.targets[n] = replace(one, state=after, todo="")
            case GiveUp():
                for id in step.targets:
                    event = TargetEvent.FAIL if step.failed else TargetEvent.SKIP
                    one = self.targets[int(id)]
                    self.targets[int(id)] = replace(one, state=advance_target(one.state, event), todo="")

    def _start(self, n: int, action: Action) -> None:
        one = self.targets[n]
        event = TargetEvent.START_REVERT if action is Action.REVERT else TargetEvent.START
        expected = DeploymentState.ROLLING_BACK if action is Action.REVERT else DeploymentState.RUNNING
        assert self.state is expected, f"started to {action.value} while {self.state.value}"
        assert self.devices[n].online, "started what is away"
        assert self.state is DeploymentState.ROLLING_BACK or self.waves[self.wave_of[n] - 1].opened_at, "wave is closed"
        self.targets[n] = replace(
            one, state=advance_target(one.state, event), todo="", action=action, attempts=one.attempts + 1, code=""
        )
        self.tasks[n] = Task(Seen(TaskState.QUEUED), action)
        most = self.strategy.max_parallel
        assert most is None or self.flying <= most, f"{self.flying} in flight, {most} may be"
        if action is Action.INSTALL:
            assert not self._too_much(), "started although too much has failed"

    def _too_much(self) -> bool:
        threshold = self.strategy.threshold
        new = [max(0, wave.failures - wave.excused) for wave in self.counted()]
        if threshold.count is not None:
            return sum(new) > threshold.count
        return any(n > threshold.allowed(sum(w.counts.values())) for n, w in zip(new, self.counted(), strict=True))

    def _check_opening(self, number: int) -> None:
        assert self.state is DeploymentState.RUNNING
        if number == 1:
            return
        before = self.counted()[number - 2]
        assert before.opened_at is not None, "a wave was left out"
        assert before.is_met(self.strategy), f"wave {number} opened and the gate before it is not met"
        assert before.met_at is not None
        assert self.now >= before.met_at + timedelta(seconds=self.strategy.soak_s), "the soak time is not over"

    def _wave(self, number: int, **changes: object) -> None:
        self.waves[number - 1] = replace(self.waves[number - 1], **changes)  # type: ignore[arg-type]

    # ------------------------------------------------------------ what people do

    def move(self, event: DeploymentEvent, *, failures: bool = False) -> None:
        """The deployment takes ``event``, with what follows for its targets."""
        before = self.state
        self.state = advance(self.state, event, failures=failures)
        if self.state is not before:
            self.moved_at = self.now
        if event in _WITHDRAWING:
            self._withdraw()
        match event:
            case DeploymentEvent.RESUME:
                for wave in self.counted():
                    self._wave(wave.number, excused=wave.failures)
                self.excused_reverts = self._unconfirmed()
            case DeploymentEvent.ROLL_BACK | DeploymentEvent.UNDO:
                self._undo_all()
            case DeploymentEvent.ABORT if before is DeploymentState.ROLLING_BACK:
                self._keep_what_is()
            case DeploymentEvent.PROMOTE:
                closed = [wave.number for wave in self.waves if not wave.opened_at]
                self._wave(closed[0], opened_at=self.now)
            case DeploymentEvent.RETRY:
                self._retry()
            case DeploymentEvent.END:
                self._check_end()

    def may(self, event: DeploymentEvent) -> bool:
        """Whether a person can do that now."""
        if event is DeploymentEvent.PROMOTE and (
            all(wave.opened_at for wave in self.waves) or not self.waves[0].opened_at
        ):
            return False
        if event is DeploymentEvent.RETRY and not any(one.state in _RETRIED for one in self.targets):
            return False
        try:
            advance(self.state, event)
        except ValueError:
            return False
        return True

    def _withdraw(self) -> None:
        for n, task in self.tasks.items():
            if task.seen.state is TaskState.QUEUED:
                self.report(n, Seen(TaskState.CANCELLED, code=TaskCode.WITHDRAWN))
            task.withdrawn |= not task.over and not task.seen.started

    def _undo_all(self) -> None:
        for n, one in enumerate(self.targets):
            have = one.state in (TargetState.SUCCEEDED, TargetState.FAILED)
            interrupted = one.state is TargetState.PENDING and one.todo == "install"
            if one.touched and one.outcome is not Outcome.REVERTED and (have or interrupted):
                self.targets[n] = replace(one, todo="revert", attempts=0)

    def _keep_what_is(self) -> None:
        for n, one in enumerate(self.targets):
            if one.todo == "revert":
                state = TargetState.FAILED if one.state is TargetState.PENDING else one.state
                self.targets[n] = replace(one, todo="", state=state)

    def _retry(self) -> None:
        for n, one in enumerate(self.targets):
            if one.state in _RETRIED:
                state = advance_target(one.state, TargetEvent.RETRY)
                self.targets[n] = replace(
                    one, state=state, todo="install", attempts=0, outcome=Outcome.NONE, code="", attention=False
                )
        for wave in self.waves:
            self._wave(wave.number, excused=0)
        self.excused_reverts = 0

    # ------------------------------------------------------------ what devices do

    def report(self, n: int, seen: Seen) -> None:
        """The task of target ``n`` is in another state now, in the database."""
        task = self.tasks.get(n)
        if task is None or task.over or (seen == ENDS["withdrawn"] and not task.withdrawn):
            return
        task.seen = seen
        task.withdrawn &= not seen.started
        if task.over:
            self._really(n, task)

    def _really(self, n: int, task: Task) -> None:
        device = self.devices[n]
        if task.action is Action.INSTALL and task.seen.outcome in (Outcome.INSTALLED, Outcome.ALREADY):
            device.has = True
        if task.seen.outcome is Outcome.REVERTED:
            device.has = False

    def look(self, numbers: Sequence[int] | None = None) -> None:
        """Take note of what tasks say; of these, or of all."""
        for n in self.tasks if numbers is None else numbers:
            if n in self.tasks:
                self.targets[n] = observe(
                    self.targets[n],
                    self.tasks[n].seen,
                    stopping=self.state in (DeploymentState.ABORTING, DeploymentState.ROLLING_BACK),
                    undoing=self.state is DeploymentState.ROLLING_BACK,
                    attempts=self.strategy.attempts,
                )
                self._check_target(n)

    def _check_target(self, n: int) -> None:
        one = self.targets[n]
        assert not (one.todo and one.state in IN_FLIGHT)
        assert one.state is not TargetState.PENDING or one.todo
        assert one.attempts <= self.strategy.attempts

    # ------------------------------------------------------------ the end

    def _check_end(self) -> None:
        assert self.flying == 0, "ended while something is in flight"
        assert not any(one.todo == "install" for one in self.targets), "ended with something to install"
        if self.state is DeploymentState.ROLLED_BACK:
            assert not any(one.todo for one in self.targets), "ended with something to go back"
            left = [n for n, one in enumerate(self.targets) if one.state is TargetState.SUCCEEDED and one.touched]
            assert not left, f"rolled back, and {left} have it"
        if self.state is DeploymentState.ABORTED:
            assert not any(one.todo for one in self.targets), "aborted with something to go back"
        if self.state is DeploymentState.SUCCEEDED:
            assert all(one.state in SETTLED for one in self.targets)
            assert not any(one.state is TargetState.FAILED for one in self.targets)

    def settle(self, ends: Callable[[int], Seen]) -> None:
        """Everybody comes back, people go on with what is paused, every task ends as ``ends`` says: it has to end."""
        for device in self.devices:
            device.online = True
        for _ in range(40 * (self.total + len(self.waves) + 2)):
            self.look()
            self.turn()
            if self.state in OVER:
                return
            if self.state is DeploymentState.PAUSED:
                self.move(DeploymentEvent.RESUME)
            for n, task in self.tasks.items():
                if not task.over:
                    self.report(n, ENDS["withdrawn"] if task.withdrawn else ends(n))
            self.now += timedelta(seconds=max(1.0, self.strategy.soak_s))
        raise AssertionError(f"it never ends: {self.state.value}, {[one.state.value for one in self.targets]}")


_WITHDRAWING = frozenset(
    {
        DeploymentEvent.PAUSE,
        DeploymentEvent.STOP,
        DeploymentEvent.ABORT,
        DeploymentEvent.ROLL_BACK,
        DeploymentEvent.UNDO,
    }
)
_RETRIED = (TargetState.FAILED, TargetState.ROLLED_BACK)


def strategy_with(one: Strategy, **changes: object) -> Strategy:
    """``one`` with ``changes``."""
    return strategy(**{**{name: getattr(one, name) for name in one.__struct_fields__}, **changes})


def good(action: Action) -> Seen:
    """How a task of ``action`` ends well."""
    outcome = Outcome.INSTALLED if action is Action.INSTALL else Outcome.REVERTED
    return Seen(TaskState.SUCCEEDED, started=True, sent=True, outcome=outcome)


ENDS: dict[str, Seen] = {
    "good": Seen(TaskState.SUCCEEDED, started=True, sent=True, outcome=Outcome.INSTALLED),
    "already": Seen(TaskState.SUCCEEDED, started=True, sent=True, outcome=Outcome.ALREADY),
    "failed": Seen(TaskState.FAILED, code="release_failed", started=True, sent=True),
    "untouched": Seen(TaskState.FAILED, code="release_unavailable", started=True, sent=True, outcome=Outcome.UNTOUCHED),
    "reverted": Seen(TaskState.FAILED, code="release_unhealthy", started=True, sent=True, outcome=Outcome.REVERTED),
    "unconfirmed": Seen(
        TaskState.FAILED, code=TaskCode.RELEASE_UNCONFIRMED, started=True, sent=True, outcome=Outcome.REVERTED
    ),
    "revert_failed": Seen(TaskState.FAILED, started=True, sent=True, outcome=Outcome.REVERT_FAILED),
    "interrupted": Seen(TaskState.INTERRUPTED, started=True, sent=True),
    "cut_short": Seen(TaskState.INTERRUPTED, started=True, sent=True, outcome=Outcome.REVERTED),
    "lost": Seen(TaskState.LOST, code=TaskCode.SILENT, started=True, sent=True),
    "expired": Seen(TaskState.EXPIRED, sent=True),
    "cancelled": Seen(TaskState.CANCELLED, sent=True),
    "withdrawn": Seen(TaskState.CANCELLED, code=TaskCode.WITHDRAWN, sent=True),
    "policy": Seen(TaskState.FAILED, code=TaskCode.POLICY_FORBIDS, sent=True),
}
UNDER_WAY: dict[str, Seen] = {
    "sent": Seen(TaskState.SENT, sent=True),
    "accepted": Seen(TaskState.ACCEPTED, sent=True),
    "running": Seen(TaskState.RUNNING, started=True, sent=True),
    **{phase.value: Seen(TaskState.RUNNING, started=True, sent=True, phase=phase.value) for phase in Phase},
}
