"""One look at a deployment: what its tasks say is written, then what its plan says, each in a transaction of its own.

Invariant: a transaction begins with the lease's term and the lock of the deployment's row, reads how it stands, and
writes all that follows: targets, tasks, log, record. So it is harmless to be killed at any point, and to be done twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app.audit.actions import SERVER
from app.audit.actions import Action as Recorded
from app.clock import Clock, utcnow
from app.deployments import joining, moves, repository, tasks, waves
from app.deployments.models import Deployment
from app.deployments.observing import Seen, Target, observe
from app.deployments.planner import (
    GiveUp,
    Move,
    NoteGate,
    OpenWave,
    Plan,
    Situation,
    SkipPending,
    Start,
    Step,
    plan,
)
from app.deployments.strategy import Strategy, from_json
from app.deployments.waves import KeptWave
from app.devices.scope import EVERYONE, Scope
from app.leading import Term
from app.uow import Unit, UnitOfWork
from deployx_protocol.deployments import (
    SETTLED,
    DeploymentEvent,
    DeploymentState,
    Offline,
    TargetState,
)
from deployx_protocol.releases import Action, Outcome
from deployx_protocol.tasks import TaskState

_STOPPING = frozenset({DeploymentState.ABORTING, DeploymentState.ROLLING_BACK})
_AT_WORK = frozenset({DeploymentState.RUNNING, *_STOPPING})


class Rounds:
    """Writes what follows for one deployment at a time."""

    def __init__(self, uow: UnitOfWork, joining: joining.Joining, quota_bytes: int, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._joining = joining
        self._quota_bytes = quota_bytes
        self._clock = clock

    async def look(self, term: Term, deployment_id: str, task_ids: Collection[str] | None) -> int:
        """Take note of what these tasks, or (None) any, say now; how many targets changed. Raises Unavailable."""
        async with self._uow.begin() as unit:
            deployment = await _locked(unit, term, deployment_id)
            if deployment is None:
                return 0
            rows = await repository.changed(unit.session, deployment_id, task_ids)
            if rows:
                state = DeploymentState(deployment.state)
                attempts = from_json(deployment.strategy).attempts
                await repository.save(unit.session, [self._seen(row, state, attempts) for row in rows])
                moves.changed(unit, deployment)
                moves.changed_targets(unit, deployment.id, [row.id for row in rows])
            return len(rows)

    def _seen(self, row: Any, state: DeploymentState, attempts: int) -> dict[str, Any]:
        now = self._clock()
        before = Target(
            state=TargetState(row.state),
            todo=row.todo,
            action=Action(row.action),
            attempts=row.attempts,
            touched=row.touched,
            outcome=Outcome(row.outcome),
            attention=row.attention,
            phase=row.phase,
            percent=row.percent,
            code=row.code,
            reason=row.reason,
        )
        task = Seen(
            state=TaskState(row.task_state),
            code=row.task_code,
            message=row.task_message,
            started=row.task_started_at is not None,
            sent=row.task_sent_at is not None,
            phase=row.task_phase,
            percent=row.task_percent,
            outcome=Outcome(row.task_outcome),
        )
        after = observe(
            before,
            task,
            stopping=state in _STOPPING,
            undoing=state is DeploymentState.ROLLING_BACK,
            attempts=attempts,
        )
        settled = after.state in SETTLED and not after.todo
        return {
            "id": row.id,
            "state": after.state.value,
            "todo": after.todo,
            "action": after.action.value,
            "attempts": after.attempts,
            "touched": after.touched,
            "phase": after.phase,
            "percent": after.percent,
            "outcome": after.outcome.value,
            "attention": after.attention,
            "code": after.code,
            "reason": after.reason,
            "task_rev": row.task_rev,
            "finished_at": (row.task_finished_at or now) if settled else None,
            "updated_at": now,
        }

    async def advance(self, term: Term, deployment_id: str, *, sweep: bool) -> tuple[bool, datetime | None]:
        """Do what the plan says: whether that was something, and when to look again at the latest. ``sweep``: look also
        for devices that came, went for good, or have been away for too long. Raises Unavailable."""
        async with self._uow.begin() as unit:
            deployment = await _locked(unit, term, deployment_id)
            if deployment is None or DeploymentState(deployment.state) not in _AT_WORK:
                return False, None
            now = self._clock()
            joined = await self._joining.join(unit, deployment, now) if sweep else 0
            kept = waves.read(deployment)
            found = await _Look(unit, deployment, kept, now, sweep=sweep).situation()
            made = Plan([found]) if isinstance(found, Move) else plan(found, now)
            for step in made.steps:
                await self._take(unit, deployment, kept, step, now)
            return bool(made.steps or joined), made.wake_at

    async def _take(self, unit: Unit, deployment: Deployment, kept: list[KeptWave], step: Step, now: datetime) -> None:
        session = unit.session
        match step:
            case Start():
                await tasks.start(unit, deployment, step, self._quota_bytes, now)
                moves.changed_targets(unit, deployment.id, step.targets)
            case OpenWave():
                await self._open(unit, deployment, kept, step.number, now)
            case NoteGate():
                wave = kept[step.number - 1]
                wave.met_at = now if step.met else None
                text = f"The gate of wave {wave.number} is {'met' if step.met else 'no longer met'}."
                kind = "gate_met" if step.met else "gate_lost"
                repository.decide(session, deployment.id, kind, text, now, wave=wave.number)
                waves.write(deployment, kept)
            case Move():
                moves.move(unit, deployment, step.event, now, reason=step.reason, failures=step.failures)
                if step.event is not DeploymentEvent.END:
                    await tasks.withdraw(unit, deployment, now)
                if step.event is DeploymentEvent.UNDO:
                    undone = await repository.undo_all(session, deployment.id, now)
                    moves.changed_targets(unit, deployment.id, undone)
                return
            case SkipPending():
                skipped = await repository.skip_pending(session, deployment.id, step.reason, now)
                text = f"{len(skipped)} devices are left out: {step.reason}."
                repository.decide(session, deployment.id, "skipped", text, now)
                moves.changed_targets(unit, deployment.id, skipped)
            case GiveUp():
                state = TargetState.FAILED if step.failed else TargetState.SKIPPED
                await repository.settle(session, step.targets, state, step.reason, now)
                text = f"{len(step.targets)} devices {'failed' if step.failed else 'are left out'}: {step.reason}."
                repository.decide(session, deployment.id, "skipped", text, now)
                moves.changed_targets(unit, deployment.id, step.targets)
        moves.changed(unit, deployment)

    async def _open(self, unit: Unit, deployment: Deployment, kept: list[KeptWave], number: int, now: datetime) -> None:
        wave = kept[number - 1]
        wave.opened_at = now
        waves.write(deployment, kept)
        text = f"Wave {number} ({wave.label}) is open."
        repository.decide(unit.session, deployment.id, "wave_opened", text, now, wave=number)
        unit.record(SERVER, Recorded.DEPLOYMENT_WAVE_OPENED, deployment.id, moves.title(deployment), wave=number)


class _Look:
    """Reads how a deployment stands."""

    def __init__(
        self, unit: Unit, deployment: Deployment, kept: Sequence[KeptWave], now: datetime, *, sweep: bool
    ) -> None:
        self._session = unit.session
        self._deployment = deployment
        self._kept = kept
        self._now = now
        self._sweep = sweep

    async def situation(self) -> Situation | Move:
        """What to plan by, or what follows because its owner may not deploy any more."""
        deployment, session = self._deployment, self._session
        state, strategy = DeploymentState(deployment.state), from_json(deployment.strategy)
        counts = await repository.counts(session, deployment.id)
        todo = await repository.todo(session, deployment.id)
        undoing = state is DeploymentState.ROLLING_BACK
        action = Action.REVERT if undoing else Action.INSTALL
        scope = await repository.owner_scope(session, deployment.user_id)
        if scope is None:
            if state is DeploymentState.RUNNING:
                return Move(DeploymentEvent.STOP, f"{deployment.created_by} may not deploy any more")
            scope = EVERYONE  # going back is owed to whoever has the devices
        went_back = any(of_wave.get(TargetState.ROLLED_BACK) for of_wave in counts.values())
        unconfirmed = await repository.unconfirmed(session, deployment.id) if went_back and not undoing else 0
        situation = Situation(
            state=state,
            strategy=strategy,
            waves=waves.as_they_stand(self._kept, counts),
            following=deployment.following,
            deadline_at=deployment.deadline_at,
            pending=todo.get(Action.INSTALL, 0),
            to_revert=todo.get(Action.REVERT, 0),
            unconfirmed=max(0, unconfirmed - deployment.excused_reverts),
        )
        wave = len(self._kept) if undoing else waves.last_open(self._kept)
        if not todo.get(action) or not wave or state is DeploymentState.ABORTING:
            return situation
        return await self._with_targets(situation, action, wave, scope)

    async def _with_targets(self, situation: Situation, action: Action, wave: int, scope: Scope) -> Situation:
        found: dict[str, Any] = {}
        session, id = self._session, self._deployment.id
        open_now = action is Action.REVERT or situation.strategy.opens_at(self._now) <= self._now
        if situation.room and open_now:
            rows = await repository.ready(session, id, action, wave, scope, situation.room)
            found["ready"] = [row.id for row in rows]
        if self._sweep:
            found["gone"] = await repository.gone(session, id, action, wave, scope)
            found["overdue"] = await self._overdue(situation.strategy, action)
        return replace(situation, **found)

    async def _overdue(self, strategy: Strategy, action: Action) -> list[str]:
        if strategy.offline is Offline.WAIT:
            return []
        since = self._now - timedelta(seconds=strategy.offline_after_s)
        if action is Action.REVERT:
            due = [wave.number for wave in self._kept if self._deployment.moved_at <= since]
        else:
            due = [wave.number for wave in self._kept if wave.opened_at and wave.opened_at <= since]
        return await repository.overdue(self._session, self._deployment.id, action, due, since) if due else []


async def _locked(unit: Unit, term: Term, deployment_id: str) -> Deployment | None:
    await term.confirm(unit.session)
    return await repository.locked(unit.session, deployment_id)
