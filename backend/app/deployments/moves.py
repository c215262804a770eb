"""A deployment takes an event: its row, its log, the audit record and the hint, in one transaction.

Whoever calls this has locked the row. What follows for its targets is the caller's.
"""

from collections.abc import Iterable
from datetime import datetime

import structlog

from app.audit.actions import SERVER, Action, Actor
from app.deployments import repository
from app.deployments.models import Deployment
from app.errors import IllegalTransition
from app.hints import HintKind
from app.uow import Unit
from deployx_protocol.deployments import OVER, DeploymentEvent, DeploymentState, advance
from deployx_protocol.deployments import IllegalTransition as NoSuchMove

log = structlog.get_logger()

_E = DeploymentEvent
_SAID: dict[DeploymentEvent, tuple[str, Action, str]] = {
    _E.APPROVE: ("approved", Action.DEPLOYMENT_APPROVED, "Approved"),
    _E.REJECT: ("rejected", Action.DEPLOYMENT_REJECTED, "Rejected"),
    _E.PAUSE: ("paused", Action.DEPLOYMENT_PAUSED, "Paused"),
    _E.STOP: ("paused", Action.DEPLOYMENT_PAUSED, "Paused by itself"),
    _E.RESUME: ("resumed", Action.DEPLOYMENT_RESUMED, "Resumed"),
    _E.ABORT: ("aborted", Action.DEPLOYMENT_ABORTED, "Aborted"),
    _E.ROLL_BACK: ("rolling_back", Action.DEPLOYMENT_ROLLED_BACK, "Rolled back"),
    _E.UNDO: ("rolling_back", Action.DEPLOYMENT_ROLLED_BACK, "Rolled back by itself"),
    _E.PROMOTE: ("promoted", Action.DEPLOYMENT_PROMOTED, "The next wave was opened early"),
    _E.RETRY: ("retried", Action.DEPLOYMENT_RETRIED, "Tried again"),
    _E.END: ("ended", Action.DEPLOYMENT_ENDED, "Ended"),
}
_APPLIES = {
    _E.APPROVE: "it is not waiting for an approval",
    _E.REJECT: "it is not waiting for an approval",
    _E.PAUSE: "only what runs can be paused",
    _E.RESUME: "only what is paused can be resumed",
    _E.ABORT: "it has ended, or ends already",
    _E.ROLL_BACK: "nothing was installed by it, or it goes back already",
    _E.PROMOTE: "only of what runs the next wave can be opened",
    _E.RETRY: "only what runs, is paused or has failed can be tried again",
}


def applicable(state: DeploymentState, event: DeploymentEvent) -> IllegalTransition | None:
    """What to answer when ``event`` does not apply; None if it does."""
    try:
        advance(state, event)
    except NoSuchMove:
        words = state.value.replace("_", " ")
        return IllegalTransition(f"This deployment is {words}: {_APPLIES.get(event, 'that is not possible now')}.")
    return None


def move(
    unit: Unit,
    deployment: Deployment,
    event: DeploymentEvent,
    now: datetime,
    *,
    actor: Actor = SERVER,
    reason: str = "",
    failures: bool = False,
    wave: int | None = None,
) -> None:
    """``deployment`` takes ``event``. Raises IllegalTransition."""
    state = DeploymentState(deployment.state)
    refused = applicable(state, event)
    if refused:
        raise refused
    following = advance(state, event, failures=failures)
    kind, action, words = _SAID[event]
    by = "" if actor is SERVER else actor.name
    if following is not state:
        deployment.state, deployment.moved_at = following.value, now
        deployment.reason = f"{by}: {reason}" if by and reason else reason
        deployment.finished_at = now if following in OVER else None
    if following is DeploymentState.RUNNING and deployment.started_at is None:
        deployment.started_at = now
    changed(unit, deployment)
    after = f" as {following.value.replace('_', ' ')}" if event is _E.END else ""
    text = f"{words}{after}{f': {reason}' if reason else ''}."
    repository.decide(unit.session, deployment.id, kind, text, now, actor=by, wave=wave)
    unit.record(
        actor, action, deployment.id, title(deployment), state=following.value, reason=reason or None, wave=wave
    )
    log.info(f"deployment.{kind}", deployment_id=deployment.id, state=following.value, by=by or "server", why=reason)


def changed(unit: Unit, deployment: Deployment) -> None:
    """Something of it, or of its targets, changed."""
    deployment.rev += 1
    unit.hint(HintKind.DEPLOYMENT, run_id=deployment.id)


def changed_targets(unit: Unit, deployment_id: str, target_ids: Iterable[str]) -> None:
    """So did these of its targets."""
    for target_id in target_ids:
        unit.hint(HintKind.DEPLOYMENT_TARGET, run_id=deployment_id, task_id=target_id)


def title(deployment: Deployment) -> str:
    """The release's name and version."""
    return f"{deployment.release_name} {deployment.release_version}"
