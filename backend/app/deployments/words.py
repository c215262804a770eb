"""Sentences: why a deployment, a gate or a target is as it is, and what happens next. Pure.

As those of tasks they name moments as ISO 8601 in UTC, so that whoever shows them may put the reader's own time there,
and hold no duration that would be wrong a minute later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.clock import iso
from app.deployments.planner import Wave
from app.deployments.strategy import Strategy
from app.tasks.spans import span
from deployx_protocol.deployments import IN_FLIGHT, DeploymentState, Offline, TargetState
from deployx_protocol.releases import Outcome, Phase
from deployx_protocol.states import Presence, Trust


def at(moment: datetime) -> str:
    """A moment, to the second."""
    return iso(moment.replace(microsecond=0)).replace(".000Z", "Z")


def percent(value: float) -> str:
    """As people write it."""
    return f"{value:g} %"


# ---------------------------------------------------------------- gates


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate in words."""

    met: bool
    condition: str
    current: str
    sentence: str


def gate(
    wave: Wave,
    strategy: Strategy,
    *,
    state: DeploymentState,
    is_last: bool,
    next_open: bool,
    soak_until: datetime | None,
) -> Gate:
    """The gate of ``wave``, whose deployment is in ``state``."""
    met = wave.is_met(strategy)
    healthy = wave.count(TargetState.SUCCEEDED)
    if strategy.healthy_percent is None:
        condition = "every device of the wave is over"
        current = f"{wave.counted - wave.unfinished} of {wave.counted} over"
    else:
        condition = f"{percent(strategy.healthy_percent)} of the wave have the release"
        current = f"{healthy} of {wave.counted} healthy, {wave.needed(strategy.healthy_percent)} needed"
    if wave.failures:
        current += f", {wave.failures} failed"
    if strategy.soak_s and not is_last:
        condition += f", for {span(strategy.soak_s)}"
    if is_last or next_open or state is DeploymentState.RUNNING:
        sentence = _gate_sentence(wave, met, current, is_last, next_open, soak_until)
    else:
        sentence = _held(wave, current, state)
    return Gate(met, condition, current, sentence)


def _held(wave: Wave, current: str, state: DeploymentState) -> str:
    """Of a wave after which nothing follows now."""
    if state is DeploymentState.AWAITING_APPROVAL:
        return "It opens when the deployment is approved." if wave.number == 1 else _BEFORE
    words = state.value.replace("_", " ")
    why = (
        "while the deployment is paused" if state is DeploymentState.PAUSED else f"any more: the deployment is {words}"
    )
    return f"{current}; the next wave does not open {why}." if wave.opened_at else f"It does not open {why}."


_BEFORE = "It opens when the gate of the wave before it is met."


def _gate_sentence(
    wave: Wave, met: bool, current: str, is_last: bool, next_open: bool, soak_until: datetime | None
) -> str:
    if wave.opened_at is None:
        return _BEFORE
    if next_open:
        return f"{current}; the next wave is open."
    if not met:
        flying, pending = wave.count(*IN_FLIGHT), wave.count(TargetState.PENDING)
        waits = [f"{flying} in flight"] if flying else []
        waits += [f"{pending} not started"] if pending else []
        return f"{current}; waits for {' and '.join(waits) or 'somebody to decide'}."
    if is_last:
        return f"{current}; it is the last wave."
    return f"{current}; the next wave opens {f'at {at(soak_until)}' if soak_until else 'now'}."


# ---------------------------------------------------------------- the deployment


def deployment(
    state: DeploymentState,
    reason: str,
    *,
    waves: Sequence[Wave],
    strategy: Strategy,
    decided_by: str,
    following: bool,
    deadline_at: datetime | None,
    soak_until: datetime | None,
    now: datetime,
) -> tuple[str, str]:
    """(reason, next event) of a deployment."""
    flying = sum(wave.count(*IN_FLIGHT) for wave in waves)
    ends = f"ends when the {flying} in flight are over" if flying else "ends in a moment"
    match state:
        case DeploymentState.AWAITING_APPROVAL:
            return "somebody else has to approve it", "begins when it is approved"
        case DeploymentState.REJECTED:
            return f"{decided_by} did not approve it", ""
        case DeploymentState.PAUSED:
            more = f"; {flying} in flight go on to their end" if flying else ""
            return f"{reason or 'somebody paused it'}{more}", "goes on when somebody resumes it, or rolls it back"
        case DeploymentState.ABORTING:
            return reason or "somebody called it off", ends
        case DeploymentState.ROLLING_BACK:
            return reason or "somebody rolled it back", "ends when every device is back on what it had before"
        case DeploymentState.RUNNING:
            return _running(waves, strategy, following, deadline_at, soak_until, now)
    return reason, ""


def _running(
    waves: Sequence[Wave],
    strategy: Strategy,
    following: bool,
    deadline_at: datetime | None,
    soak_until: datetime | None,
    now: datetime,
) -> tuple[str, str]:
    opens_at = strategy.opens_at(now)
    opened = [wave for wave in waves if wave.opened_at]
    by = f"; nothing starts after {at(deadline_at)}" if deadline_at else ""
    if opens_at > now:
        return f"its window is closed: {strategy.window.words() if strategy.window else ''}", f"opens at {at(opens_at)}"
    if not opened:
        return "about to begin", "the first wave opens at once"
    last, is_last = opened[-1], len(opened) == len(waves)
    reason = f"wave {last.number} of {len(waves)} is open{by}"
    if not last.is_met(strategy) or (is_last and last.unfinished):
        return reason, "ends when this wave is over" if is_last and not following else "the gate decides what follows"
    if is_last:
        return reason, "waits for devices that meet its selector" if following else "ends in a moment"
    return f"wave {last.number} of {len(waves)} is done{by}", f"wave {last.number + 1} opens " + (
        f"at {at(soak_until)}" if soak_until and soak_until > now else "in a moment"
    )


# ---------------------------------------------------------------- a target


@dataclass(frozen=True, slots=True)
class Around:
    """What a target's sentence depends on besides itself. ``presence`` is None when the device was deleted."""

    deployment: DeploymentState
    wave_open: bool
    strategy: Strategy
    presence: Presence | None
    since: datetime | None
    trust: str
    full: bool
    window_opens_at: datetime | None


def target(
    state: TargetState, todo: str, *, reason: str, code: str, phase: str, done: int | None, outcome: str, around: Around
) -> tuple[str, str]:
    """(reason, next event) of a target."""
    if todo == "revert":
        return f"it has the release{_away(around)}", "goes back when it is its turn and its device is there"
    match state:
        case TargetState.PENDING:
            return _pending(reason, around)
        case TargetState.SUCCEEDED:
            return ("it was there already" if outcome == Outcome.ALREADY else "installed, healthy and kept"), ""
        case TargetState.SKIPPED:
            return reason or "left out", ""
        case TargetState.ROLLED_BACK:
            return reason or "it has again what it had before", ""
        case TargetState.FAILED:
            return reason or code.replace("_", " ") or "it failed", ""
    return _flying(state, phase, done, around)


def _flying(state: TargetState, phase: str, done: int | None, around: Around) -> tuple[str, str]:
    words = _PHASES.get(phase, "given to the device; not begun yet")
    if state is TargetState.ROLLING_BACK and not phase:
        words = "told to go back; not begun yet"
    much = f", {done} % done" if done is not None else ""
    away = _away(around)
    following = "its result comes when the device is back" if away else "the device says how it ends"
    return f"{words}{much}{away}", following


_PHASES: dict[str, str] = {
    Phase.FETCHING: "downloading",
    Phase.INSTALLING: "installing",
    Phase.REBOOTING: "restarting the machine",
    Phase.DETECTING: "looking whether it is there",
    Phase.CHECKING: "checking its health",
    Phase.CONFIRMING: "waiting to reach a server, to keep it",
    Phase.REVERTING: "going back to what it had before",
}


def _pending(reason: str, around: Around) -> tuple[str, str]:
    earlier = f"; its last task: {reason.rstrip('.')}" if reason else ""
    match around.deployment:
        case DeploymentState.AWAITING_APPROVAL:
            return "the deployment waits for its approval", "starts after that"
        case DeploymentState.PAUSED:
            return f"the deployment is paused{earlier}", "starts when it goes on"
    if not around.wave_open:
        return "its wave is not open yet", "starts when the gates before it are met"
    away = _away(around)
    if away:
        return f"{away.removeprefix('; ')}{earlier}", _when_back(around)
    if around.window_opens_at is not None:
        return f"the window is closed{earlier}", f"starts after {at(around.window_opens_at)}"
    if around.full:
        limit = around.strategy.max_parallel
        return f"waits for a place: {limit} are in flight, and no more may be{earlier}", "starts when one of them ends"
    return f"about to start{earlier}", "starts in a moment"


def _when_back(around: Around) -> str:
    after = span(around.strategy.offline_after_s)
    match around.strategy.offline:
        case Offline.SKIP:
            return f"starts when it is back; left out after {after}"
        case Offline.FAIL:
            return f"starts when it is back; failed after {after}"
    return "starts when it is back"


def _away(around: Around) -> str:
    if around.presence is None:
        return "; the device was deleted"
    if around.trust != Trust.TRUSTED:
        return f"; the device is {around.trust}, and gets no work"
    since = f" since {at(around.since)}" if around.since else ""
    match around.presence:
        case Presence.OFFLINE:
            return f"; offline{since}"
        case Presence.UNKNOWN:
            return "; the device has not come back since the server restarted"
    return ""


def soak_until(wave: Wave, strategy: Strategy) -> datetime | None:
    """When the soak time of ``wave`` is over, once its gate is met."""
    return None if wave.met_at is None else wave.met_at + timedelta(seconds=strategy.soak_s)
