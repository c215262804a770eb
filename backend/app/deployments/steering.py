"""What people do with a deployment while it is there: pause, resume, abort, roll back, open the next wave, try again,
and say yes or no to somebody else's.

Invariants: of two who do so at once each sees what the other did, because the row is locked, and what does not apply
any more is refused with a sentence; what is done is in the log and in the audit record with who did it.
"""

from collections.abc import Collection

from app.accounts.principal import Principal
from app.clock import Clock, utcnow
from app.deployments import moves, repository, seen, tasks, waves
from app.deployments.models import Deployment
from app.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, NotFound
from app.groups.scopes import scope_of
from app.uow import Unit, UnitOfWork
from deployx_protocol.deployments import DeploymentEvent, DeploymentState, TargetState


class Steering:
    """Everything raises NotFound for what is not the principal's, and IllegalTransition when it does not apply."""

    def __init__(self, uow: UnitOfWork, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._clock = clock

    async def pause(self, principal: Principal, deployment_id: str, note: str) -> None:
        """Start nothing more; what is in flight ends."""
        async with self._uow.begin() as unit:
            deployment = await _mine(unit, principal, deployment_id)
            self._move(unit, principal, deployment, DeploymentEvent.PAUSE, note)
            await tasks.withdraw(unit, deployment, self._clock())

    async def resume(self, principal: Principal, deployment_id: str, note: str) -> None:
        """Go on. What failed until now was seen, and stops it no more."""
        async with self._uow.begin() as unit:
            deployment = await _mine(unit, principal, deployment_id)
            self._move(unit, principal, deployment, DeploymentEvent.RESUME, note)
            counts = await repository.counts(unit.session, deployment_id)
            kept = waves.read(deployment)
            for wave, now_is in zip(kept, waves.as_they_stand(kept, counts), strict=True):
                wave.excused = now_is.failures
            waves.write(deployment, kept)
            deployment.excused_reverts = await repository.unconfirmed(unit.session, deployment_id)

    async def abort(self, principal: Principal, deployment_id: str, note: str) -> None:
        """Call it off: nothing is started any more, and what was not started is left out."""
        async with self._uow.begin() as unit:
            deployment = await _mine(unit, principal, deployment_id)
            before = deployment.state
            self._move(unit, principal, deployment, DeploymentEvent.ABORT, note)
            await tasks.withdraw(unit, deployment, self._clock())
            if before == DeploymentState.ROLLING_BACK:
                kept = await repository.keep_what_is(unit.session, deployment_id, self._clock())
                moves.changed_targets(unit, deployment_id, kept)
            if before == DeploymentState.AWAITING_APPROVAL:
                await self._leave_out(unit, deployment_id, "the deployment was aborted before its turn")

    async def roll_back(self, principal: Principal, deployment_id: str, note: str) -> None:
        """All that have the release go back to what they had before."""
        async with self._uow.begin() as unit:
            deployment = await _mine(unit, principal, deployment_id)
            self._move(unit, principal, deployment, DeploymentEvent.ROLL_BACK, note)
            await tasks.withdraw(unit, deployment, self._clock())
            undone = await repository.undo_all(unit.session, deployment_id, self._clock())
            moves.changed_targets(unit, deployment_id, undone)

    async def promote(self, principal: Principal, deployment_id: str, wave: int, note: str) -> None:
        """Open the wave after ``wave``, which is the last that is open, whatever its gate says."""
        async with self._uow.begin() as unit:
            deployment = await _mine(unit, principal, deployment_id)
            refused = moves.applicable(DeploymentState(deployment.state), DeploymentEvent.PROMOTE)
            if refused:
                raise refused
            kept = waves.read(deployment)
            last = waves.last_open(kept)
            if last != wave:
                raise Conflict(f"The last wave that is open is {last}, not {wave}; look at it again.")
            if last == len(kept):
                raise IllegalTransition("All waves of this deployment are open.")
            kept[last - 1].promoted_by = principal.email
            kept[last].opened_at = self._clock()
            waves.write(deployment, kept)
            self._move(unit, principal, deployment, DeploymentEvent.PROMOTE, note, wave=last + 1)

    async def retry(self, principal: Principal, deployment_id: str, states: Collection[TargetState], note: str) -> None:
        """Try again where targets are in ``states``."""
        async with self._uow.begin() as unit:
            deployment = await _mine(unit, principal, deployment_id)
            self._move(unit, principal, deployment, DeploymentEvent.RETRY, note)
            again = await repository.retry(unit.session, deployment_id, states, self._clock())
            moves.changed_targets(unit, deployment_id, again)
            if not again:
                words = " or ".join(state.replace("_", " ") for state in states)
                raise IllegalTransition(f"No device of this deployment is {words}; there is nothing to try again.")
            kept = waves.read(deployment)
            for wave in kept:
                wave.excused = 0
            waves.write(deployment, kept)
            deployment.excused_reverts = 0
            deadline = deployment.deadline_at
            if deadline is not None and deadline <= self._clock():
                raise InvalidInput(
                    "The deadline of this deployment has passed; start a new one for what failed.",
                    code="deadline_passed",
                )

    async def approve(self, principal: Principal, deployment_id: str, plan_hash: str, note: str) -> None:
        """Let exactly this plan begin. Raises Forbidden for whoever asked for it."""
        async with self._uow.begin() as unit:
            deployment = await _to_decide(unit, principal, deployment_id, plan_hash)
            self._decide(principal, deployment, "approved", note)
            self._move(unit, principal, deployment, DeploymentEvent.APPROVE, note)
            seconds = waves.deadline_s(deployment)
            if seconds is not None:
                deployment.deadline_at = waves.later(self._clock(), seconds)

    async def reject(self, principal: Principal, deployment_id: str, plan_hash: str, note: str) -> None:
        """Do not let it begin."""
        async with self._uow.begin() as unit:
            deployment = await _to_decide(unit, principal, deployment_id, plan_hash)
            self._decide(principal, deployment, "rejected", note)
            self._move(unit, principal, deployment, DeploymentEvent.REJECT, note)
            await self._leave_out(unit, deployment_id, "the deployment was not approved")

    # ------------------------------------------------------------ parts of these

    def _move(
        self,
        unit: Unit,
        principal: Principal,
        deployment: Deployment,
        event: DeploymentEvent,
        note: str,
        wave: int | None = None,
    ) -> None:
        moves.move(unit, deployment, event, self._clock(), actor=principal.actor, reason=note.strip(), wave=wave)

    def _decide(self, principal: Principal, deployment: Deployment, decided: str, note: str) -> None:
        deployment.decided, deployment.decided_at = decided, self._clock()
        deployment.decided_by_id, deployment.decided_by = principal.user_id, principal.email
        deployment.decided_note = note.strip()

    async def _leave_out(self, unit: Unit, deployment_id: str, reason: str) -> None:
        skipped = await repository.skip_pending(unit.session, deployment_id, reason, self._clock())
        moves.changed_targets(unit, deployment_id, skipped)


async def _mine(unit: Unit, principal: Principal, deployment_id: str) -> Deployment:
    """A deployment that ``principal`` may steer: their own, or anyone's for who sees everything."""
    scope = await scope_of(unit.session, principal)
    if not await seen.is_visible(unit.session, scope, principal.user_id, deployment_id):
        raise NotFound("There is no such deployment.")
    deployment = await repository.locked(unit.session, deployment_id)
    if deployment is None:
        raise NotFound("There is no such deployment.")
    if not scope.owns(deployment.user_id):
        raise Forbidden("This deployment is somebody else's: you may look at it, and say yes or no when it asks.")
    return deployment


async def _to_decide(unit: Unit, principal: Principal, deployment_id: str, plan_hash: str) -> Deployment:
    """A deployment that ``principal`` may approve or reject, as they have seen it."""
    scope = await scope_of(unit.session, principal)
    if not await seen.is_visible(unit.session, scope, principal.user_id, deployment_id):
        raise NotFound("There is no such deployment.")
    deployment = await repository.locked(unit.session, deployment_id)
    if deployment is None:
        raise NotFound("There is no such deployment.")
    refused = moves.applicable(DeploymentState(deployment.state), DeploymentEvent.APPROVE)
    if refused:
        raise refused
    if deployment.user_id == principal.user_id:
        raise Forbidden(
            "You asked for this deployment, so somebody else has to approve it. To take it back, abort it.",
            code="own_deployment",
        )
    if deployment.plan_hash != plan_hash:
        raise Conflict("This is another plan than the one you looked at; look at it again.", code="plan_changed")
    if not await seen.may_run_all(unit.session, scope, deployment_id):
        raise Forbidden("You may not run on all devices of this deployment, so you cannot approve it.")
    return deployment
