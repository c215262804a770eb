"""Devices that join a deployment later: those that meet its selector now, and did not when it was made.

Invariant: a device joins once, in the last wave, behind all others; what it has to be is what a device of the
deployment had to be from the start.
"""

from collections.abc import Callable, Collection
from datetime import datetime

import sqlalchemy as sa
import structlog

from app.audit.actions import SERVER, Action, numbers
from app.deployments import moves, repository, targets, waves
from app.deployments.models import Deployment
from app.deployments.strategy import from_json
from app.errors import DeployXError, Unavailable
from app.ids import new_id
from app.releases import lookup
from app.tasks.schemas import DEVICE_IDS_MAX
from app.uow import Unit
from deployx_protocol.deployments import DeploymentState, TargetState
from deployx_protocol.releases import Action as Does

MOST = 200
"""So many are looked at in one transaction."""

log = structlog.get_logger()


class Joining:
    """Finds who joins."""

    def __init__(self, live_nodes: Callable[[], Collection[str]]) -> None:
        self._live_nodes = live_nodes
        self._after: dict[str, int] = {}
        """Deployment id → the device that was looked at last: those that meet the selector and are left out, such as
        machines of another platform, must not be all that is ever looked at."""

    async def join(self, unit: Unit, deployment: Deployment, now: datetime) -> int:
        """Take in who meets the selector of ``deployment``, which is locked; how many did. Raises Unavailable."""
        if not deployment.following or deployment.state != DeploymentState.RUNNING or deployment.selector is None:
            return 0
        late = deployment.deadline_at is not None and deployment.deadline_at <= now
        if late or deployment.total >= DEVICE_IDS_MAX or deployment.user_id is None:
            return 0
        scope = await repository.owner_scope(unit.session, deployment.user_id)
        if scope is None:
            return 0
        try:
            release = await lookup.by_sha256(unit.session, deployment.release_sha256)
            asking = targets.Asking(
                scope, deployment.user_id, release, from_json(deployment.strategy), self._live_nodes(), now
            )
            after = self._after.pop(deployment.id, 0)
            found, last = await targets.joining(
                unit.session, asking, deployment.selector, deployment.id, after=after, most=MOST
            )
            if last:
                self._after[deployment.id] = last
        except Unavailable:
            raise
        except DeployXError as error:  # a group that the selector names may have gone, or the release
            log.warning("deployment.nobody_joins", deployment_id=deployment.id, why=error.message)
            return 0
        if not found:
            return 0
        wave = len(waves.read(deployment))
        rows = [new_target(deployment, one, wave, deployment.total + place, now) for place, one in enumerate(found, 1)]
        await (await unit.session.connection()).execute(sa.insert(repository.TARGETS), rows)
        deployment.total += len(found)
        names = ", ".join(one.device_name for one in found[:5]) + ("" if len(found) <= 5 else " and others")
        repository.decide(unit.session, deployment.id, "joined", f"{names} joined.", now, wave=wave)
        ids = [one.id for one in found]
        unit.record(SERVER, Action.DEPLOYMENT_JOINED, deployment.id, moves.title(deployment), devices=numbers(ids))
        moves.changed(unit, deployment)
        return len(found)


def new_target(
    deployment: Deployment, one: targets.Planned, wave: int, position: int, now: datetime
) -> dict[str, object]:
    """The row of a device that is to get the release."""
    return {
        "id": new_id(),
        "deployment_id": deployment.id,
        "release_name": deployment.release_name,
        "device_id": one.id,
        "device_name": one.device_name,
        "borrowed": one.owner_id != deployment.user_id,
        "wave": wave,
        "position": position,
        "state": TargetState.PENDING.value,
        "todo": Does.INSTALL.value,
        "action": Does.INSTALL.value,
        "task_rev": 0,
        "attempts": 0,
        "touched": False,
        "phase": "",
        "outcome": "",
        "attention": False,
        "code": "",
        "reason": "",
        "updated_at": now,
        "rev": 1,
    }
