"""Deployments, their targets and decisions as people and dashboards see them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.clock import iso, iso_or_none
from app.deployments import waves, words
from app.deployments.models import Deployment, DeploymentDecision, DeploymentTarget
from app.deployments.planner import Wave, failed_waves
from app.deployments.strategy import Strategy, from_json
from app.deployments.waves import KeptWave
from app.devices.views import presence
from deployx_protocol.deployments import (
    IN_FLIGHT,
    TRANSITIONS,
    ApprovalView,
    DecisionView,
    DeploymentEvent,
    DeploymentState,
    DeploymentTargetView,
    DeploymentView,
    GateView,
    TargetState,
    WaveState,
    WaveView,
)
from deployx_protocol.releases import Action, Outcome, Phase

_BY_PEOPLE = tuple(DeploymentEvent)[:8]
LATELY = timedelta(minutes=15)
"""Over which the pace is taken."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is counted for one deployment's view."""

    counts: Mapping[int, Mapping[TargetState, int]]
    attention: int
    done_lately: int


def deployment_view(row: Deployment, figures: Figures, now: datetime) -> DeploymentView:
    """A deployment."""
    state, strategy = DeploymentState(row.state), from_json(row.strategy)
    kept = waves.read(row)
    stand = waves.as_they_stand(kept, figures.counts)
    opened = [wave for wave in stand if wave.opened_at]
    soak = words.soak_until(opened[-1], strategy) if opened and len(opened) < len(stand) else None
    reason, following = words.deployment(
        state,
        row.reason,
        waves=stand,
        strategy=strategy,
        decided_by=row.decided_by,
        following=row.following,
        deadline_at=row.deadline_at,
        soak_until=soak,
        now=now,
    )
    pace, estimate = _pace(row, state, stand, figures.done_lately, now)
    totals: dict[str, int] = {}
    for wave in stand:
        for one, count in wave.counts.items():
            totals[one.value] = totals.get(one.value, 0) + count
    return DeploymentView(
        id=row.id,
        title=f"{row.release_name} {row.release_version}",
        release_name=row.release_name,
        release_version=row.release_version,
        release_number=row.release_number,
        release_sha256=row.release_sha256,
        state=state,
        reason=reason,
        next_event=following,
        selector=row.selector,
        following=row.following,
        strategy=strategy.view(),
        plan_hash=row.plan_hash,
        approval=ApprovalView(
            required=row.approval_above > 0,
            above=row.approval_above,
            decided=row.decided,
            by=row.decided_by,
            at=iso_or_none(row.decided_at),
            note=row.decided_note,
        ),
        user_id=row.user_id,
        created_by=row.created_by,
        created_at=iso(row.created_at),
        started_at=iso_or_none(row.started_at),
        finished_at=iso_or_none(row.finished_at),
        deadline_at=iso_or_none(row.deadline_at),
        total=row.total,
        counts=totals,
        attention=figures.attention,
        wave=waves.last_open(kept),
        waves=[_wave_view(one, kept[place], strategy, stand, state) for place, one in enumerate(stand)],
        pace_per_hour=pace,
        estimate_at=iso_or_none(estimate),
        actions=_actions(state, kept, totals),
        run_id=row.install_run_id,
        revert_run_id=row.revert_run_id,
        rev=row.rev,
    )


def _actions(state: DeploymentState, kept: Collection[KeptWave], totals: Mapping[str, int]) -> list[str]:
    found = [event.value for event in _BY_PEOPLE if (state, event) in TRANSITIONS]
    if waves.last_open(list(kept)) in (0, len(kept)) and DeploymentEvent.PROMOTE in found:
        found.remove(DeploymentEvent.PROMOTE)
    again = (TargetState.FAILED, TargetState.ROLLED_BACK, TargetState.SKIPPED)
    if DeploymentEvent.RETRY in found and not any(totals.get(one) for one in again):
        found.remove(DeploymentEvent.RETRY)
    return found


def _wave_view(
    wave: Wave, kept: KeptWave, strategy: Strategy, stand: list[Wave], deployment: DeploymentState
) -> WaveView:
    is_last = wave.number == len(stand)
    next_open = not is_last and stand[wave.number].opened_at is not None
    soaks = deployment is DeploymentState.RUNNING or next_open
    soak = words.soak_until(wave, strategy) if soaks else None
    gate = words.gate(wave, strategy, state=deployment, is_last=is_last, next_open=next_open, soak_until=soak)
    state = _wave_state(wave, gate.met, next_open, is_last)
    if not next_open and wave.number in failed_waves(stand, strategy):
        state = WaveState.FAILED
    elif state is WaveState.SOAKING and deployment is not DeploymentState.RUNNING:
        state = WaveState.HELD
    return WaveView(
        number=wave.number,
        label=wave.label,
        state=state,
        total=sum(wave.counts.values()),
        counts={state.value: count for state, count in wave.counts.items()},
        gate=GateView(met=gate.met, condition=gate.condition, current=gate.current, sentence=gate.sentence),
        opened_at=iso_or_none(wave.opened_at),
        met_at=iso_or_none(wave.met_at),
        soak_until=None if is_last else iso_or_none(soak),
        promoted_by=kept.promoted_by,
    )


def _wave_state(wave: Wave, met: bool, next_open: bool, is_last: bool) -> WaveState:
    if wave.opened_at is None:
        return WaveState.WAITING
    if wave.unfinished and (is_last or not met):
        return WaveState.OPEN
    if next_open or is_last:
        return WaveState.DONE
    return WaveState.SOAKING if met else WaveState.OPEN


def _pace(
    row: Deployment, state: DeploymentState, stand: list[Wave], lately: int, now: datetime
) -> tuple[float | None, datetime | None]:
    """Devices an hour, and when the last would be done."""
    if state not in (DeploymentState.RUNNING, DeploymentState.ROLLING_BACK) or row.started_at is None or lately < 2:
        return None, None
    since = max(row.started_at, row.moved_at, now - LATELY)
    hours = max((now - since).total_seconds(), 1.0) / 3_600
    pace = lately / hours
    left = sum(wave.unfinished for wave in stand)
    return round(pace, 1), now + timedelta(hours=left / pace) if left and not row.following else None


@dataclass(frozen=True, slots=True)
class At:
    """What the sentences of a deployment's targets depend on besides themselves."""

    state: DeploymentState
    strategy: Strategy
    wave: int
    flying: int
    now: datetime

    @classmethod
    def of(cls, row: Any, counts: Mapping[int, Mapping[TargetState, int]], now: datetime) -> "At":
        """``row`` has a deployment's state, strategy and waves."""
        flying = sum(of_wave.get(state, 0) for of_wave in counts.values() for state in IN_FLIGHT)
        return cls(DeploymentState(row.state), from_json(row.strategy), waves.last_open(waves.read(row)), flying, now)


def target_view(row: Any, at: At, live_nodes: Collection[str]) -> DeploymentTargetView:
    """A target. ``row`` has it as ``DeploymentTarget``, and what its device is now."""
    target: DeploymentTarget = row.DeploymentTarget
    state = TargetState(target.state)
    opens_at = at.strategy.opens_at(at.now)
    most = at.strategy.max_parallel
    around = words.Around(
        deployment=at.state,
        wave_open=target.wave <= at.wave,
        strategy=at.strategy,
        presence=None if row.status is None else presence(row.status, row.node_id, live_nodes),
        since=row.status_since,
        trust=row.trust or "",
        full=most is not None and at.flying >= most,
        window_opens_at=opens_at if opens_at > at.now else None,
    )
    reason, following = words.target(
        state,
        target.todo,
        reason=target.reason,
        code=target.code,
        phase=target.phase,
        done=target.percent,
        outcome=target.outcome,
        around=around,
    )
    return DeploymentTargetView(
        id=target.id,
        deployment_id=target.deployment_id,
        device_id=target.device_id,
        device_name=target.device_name,
        wave=target.wave,
        position=target.position,
        state=state,
        reason=reason,
        next_event=following,
        code=target.code,
        action=Action(target.action),
        task_id=target.task_id,
        attempt=target.attempts,
        phase=Phase(target.phase) if target.phase else None,
        percent=target.percent,
        outcome=Outcome(target.outcome),
        attention=target.attention,
        started_at=iso_or_none(target.started_at),
        finished_at=iso_or_none(target.finished_at),
        updated_at=iso(target.updated_at),
        rev=target.rev,
    )


def decision_view(row: DeploymentDecision) -> DecisionView:
    """An entry of the log."""
    return DecisionView(id=row.id, at=iso(row.at), actor=row.actor, kind=row.kind, text=row.text, wave=row.wave)
