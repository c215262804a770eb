"""What a target becomes by what its task says: pure.

Invariants: only the target's last task counts; what comes again, late or in another order leads to the same end: it is
the task's row that is looked at, not the report. What nobody can vouch for gets another task, which begins with detect,
until its attempts are spent, and so does what went back because its agent or machine went down in the middle; what may
have changed a device is remembered as *touched*, so that going back reaches it.
"""

from dataclasses import dataclass, replace

from deployx_protocol.deployments import AT_PHASE, IN_FLIGHT, TargetEvent, TargetState, advance_target
from deployx_protocol.releases import Action, Outcome, Phase
from deployx_protocol.tasks import FINAL, REFUSED_BY_POLICY, TaskCode, TaskState

_BEFORE_ANYTHING = REFUSED_BY_POLICY | {
    TaskCode.RELEASE_UNREADABLE,
    TaskCode.RELEASE_OLDER,
    TaskCode.RELEASE_UNAVAILABLE,
    TaskCode.RELEASE_UNFIT,
    TaskCode.WATCH_ONLY,
    TaskCode.WRONG_DEVICE,
    TaskCode.NOT_PERMITTED,
}
_KEPT = "going back was called off before it began: it still has what was installed"
_CHANGING = frozenset({Phase.INSTALLING, Phase.REBOOTING, Phase.CHECKING, Phase.CONFIRMING, Phase.REVERTING})
_UNKNOWN = frozenset({TaskState.INTERRUPTED, TaskState.LOST, TaskState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Target:
    """A target as its row has it."""

    state: TargetState
    todo: str = ""
    action: Action = Action.INSTALL
    attempts: int = 1
    touched: bool = False
    outcome: Outcome = Outcome.NONE
    attention: bool = False
    phase: str = ""
    percent: int | None = None
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A target's last task as its row has it."""

    state: TaskState
    code: str = ""
    message: str = ""
    started: bool = False
    sent: bool = False
    phase: str = ""
    percent: int | None = None
    outcome: Outcome = Outcome.NONE


def observe(target: Target, task: Seen, *, stopping: bool, undoing: bool, attempts: int) -> Target:
    """``target`` after a look at its task. ``stopping``: nothing is to be installed any more; ``undoing``: what has the
    release goes back; ``attempts``: how many tasks a target may get."""
    given_up = target.state is TargetState.FAILED and not target.todo and target.code == TaskCode.SILENT
    corrected = given_up and task.state in FINAL and task.state not in _UNKNOWN
    if target.state not in IN_FLIGHT and not corrected:
        return target
    if task.state not in FINAL:
        return _under_way(target, task)
    if task.state is TaskState.CANCELLED and task.code == TaskCode.WITHDRAWN:
        after = _withdrawn(target)
    elif target.action is Action.REVERT:
        after = _reverted(target, task, attempts)
    else:
        after = _installed(target, task, attempts, stopping=stopping)
    if after.state is TargetState.PENDING and stopping and after.todo == Action.INSTALL:
        after = replace(after, state=TargetState.FAILED, todo="") if after.touched else after  # or it is skipped
    if after.todo == Action.REVERT and stopping and not undoing:
        after = replace(after, state=TargetState.FAILED, todo="", attention=True, reason=_KEPT)
    if undoing and after.action is Action.INSTALL and after.touched and _may_have_it(after):
        after = replace(after, todo=Action.REVERT.value, attempts=0)
    return after


def _may_have_it(target: Target) -> bool:
    if target.outcome is Outcome.REVERTED:
        return False
    return target.state in (TargetState.SUCCEEDED, TargetState.FAILED)


def _under_way(target: Target, task: Seen) -> Target:
    touched = target.touched or (task.phase in _CHANGING and target.action is Action.INSTALL)
    if target.action is Action.REVERT:
        state = TargetState.ROLLING_BACK
    elif task.state is TaskState.RUNNING and task.phase:
        state = AT_PHASE[Phase(task.phase)]
    else:
        state = TargetState.DOWNLOADING
    return replace(target, state=state, phase=task.phase, percent=task.percent, touched=touched)


def _installed(target: Target, task: Seen, attempts: int, *, stopping: bool) -> Target:
    ended = replace(
        target, phase="", percent=None, outcome=task.outcome, code=task.code, reason=task.message, attention=False
    )
    if task.outcome is Outcome.REVERTED:
        cut_short = task.state is TaskState.INTERRUPTED and not stopping  # which is no word about the release
        again = _another(ended, task, attempts, Action.INSTALL) if cut_short else None
        return again or _to(ended, TargetEvent.WENT_BACK)
    if task.outcome is Outcome.REVERT_FAILED:
        return replace(_to(ended, TargetEvent.FAIL), touched=True, attention=True)
    if task.code == TaskCode.DEVICE_DELETED:
        return replace(_to(ended, TargetEvent.SKIP), reason="the device was deleted")
    if task.state is TaskState.SUCCEEDED:
        return replace(_to(ended, TargetEvent.SUCCEED), touched=ended.touched or task.outcome is not Outcome.ALREADY)
    may_have_changed = task.started and task.outcome is not Outcome.UNTOUCHED and task.code not in _BEFORE_ANYTHING
    ended = replace(ended, touched=ended.touched or may_have_changed)
    if task.state in _UNKNOWN:
        return _again(ended, task, attempts, Action.INSTALL)
    if task.state is TaskState.CANCELLED and not task.started:
        return replace(_to(ended, TargetEvent.SKIP), reason=task.message or "somebody called its task off")
    return _to(ended, TargetEvent.FAIL)


def _reverted(target: Target, task: Seen, attempts: int) -> Target:
    ended = replace(target, phase="", percent=None, outcome=task.outcome, code=task.code, reason=task.message)
    if task.outcome is Outcome.REVERTED or task.state is TaskState.SUCCEEDED:
        return replace(_to(ended, TargetEvent.WENT_BACK), attention=False, outcome=Outcome.REVERTED)
    if task.code == TaskCode.DEVICE_DELETED:
        return replace(_to(ended, TargetEvent.SKIP), reason="the device was deleted")
    if task.state in _UNKNOWN and task.outcome is not Outcome.REVERT_FAILED:
        return _again(ended, task, attempts, Action.REVERT)
    return replace(_to(ended, TargetEvent.FAIL), attention=True)


def _withdrawn(target: Target) -> Target:
    """Its task was called back before it started: nothing happened, and none of its attempts is spent."""
    back = replace(target, phase="", percent=None, code="", reason="")
    return replace(_to(back, TargetEvent.TRY_AGAIN), todo=target.action.value, attempts=max(0, target.attempts - 1))


def _again(target: Target, task: Seen, attempts: int, action: Action) -> Target:
    """Another task, or a failure where they are spent."""
    failed = replace(_to(target, TargetEvent.FAIL), attempts=_used(target, task), attention=action is Action.REVERT)
    return _another(target, task, attempts, action) or failed


def _another(target: Target, task: Seen, attempts: int, action: Action) -> Target | None:
    """Another task; None where they are spent."""
    used = _used(target, task)
    if used >= attempts:
        return None
    return replace(_to(target, TargetEvent.TRY_AGAIN), todo=action.value, attempts=used)


def _used(target: Target, task: Seen) -> int:
    """How many tasks it has had. One that was never sent does not count."""
    return target.attempts if task.sent else max(0, target.attempts - 1)


def _to(target: Target, event: TargetEvent) -> Target:
    return replace(target, state=advance_target(target.state, event))
