"""Which dashboards watch which deployments, and hear of every target of theirs: as ``watching`` does for runs.

Invariant: a dashboard watches a deployment only after it was found to be one that its user may see, a few at once, and
only while it is connected. What is told of targets is read for whoever hears it.
"""

from collections.abc import Sequence
from typing import Any

from app.deployments.reading import DeploymentReader
from app.realtime.answers import accepted, refusal
from app.realtime.link import LinkServer
from deployx_protocol import events
from deployx_protocol.checks import decode
from deployx_protocol.deployments import DeploymentTargetsChanged, DeploymentTargetView, WatchDeployment

DEPLOYMENTS_MAX = 20
"""That one dashboard may watch at once."""
TARGETS_PER_MESSAGE = 250


class DeploymentWatch:
    """The watched deployments of this node's dashboards."""

    def __init__(self, server: LinkServer, reader: DeploymentReader) -> None:
        self._server = server
        self._reader = reader
        self._by_sid: dict[str, set[str]] = {}
        self._users: dict[str, int | None] = {}

    async def watch(self, sid: str, user_id: int | None, payload: Any) -> dict[str, Any]:
        """Take `watch_deployment`; what changes after the answer is told. Raises InvalidPayload, Unavailable."""
        deployment_id = decode(payload, WatchDeployment).deployment_id
        mine = self._by_sid.setdefault(sid, set())
        self._users[sid] = user_id
        if deployment_id not in mine and len(mine) >= DEPLOYMENTS_MAX:
            text = f"A dashboard watches at most {DEPLOYMENTS_MAX} deployments; send unwatch_deployment first."
            return refusal("too_many", text)
        if not await self._reader.may_see(user_id, deployment_id):
            return refusal("not_found", "There is no such deployment.")
        if self._by_sid.get(sid) is mine:  # it did not leave meanwhile
            mine.add(deployment_id)
            await self._server.enter_room(sid, _room(deployment_id, user_id))
        return accepted()

    async def unwatch(self, sid: str, payload: Any) -> dict[str, Any]:
        """Take `unwatch_deployment`. Raises InvalidPayload."""
        deployment_id = decode(payload, WatchDeployment).deployment_id
        mine = self._by_sid.get(sid, set())
        if deployment_id in mine:
            mine.discard(deployment_id)
            await self._server.leave_room(sid, _room(deployment_id, self._users[sid]))
        return accepted()

    def forget(self, sid: str) -> None:
        """This dashboard is gone."""
        self._by_sid.pop(sid, None)
        self._users.pop(sid, None)

    def deployments(self) -> set[str]:
        """The deployments that someone watches."""
        return set().union(*self._by_sid.values())

    def by_user(self) -> dict[int | None, set[str]]:
        """The deployments that each user watches; None: those who see everything."""
        found: dict[int | None, set[str]] = {}
        for sid, watched in self._by_sid.items():
            found.setdefault(self._users[sid], set()).update(watched)
        return found

    async def tell(self, deployment_id: str, user_id: int | None, targets: Sequence[DeploymentTargetView]) -> None:
        """Tell those dashboards of ``user_id`` that watch this deployment of its ``targets``, which they may see."""
        for start in range(0, len(targets), TARGETS_PER_MESSAGE):
            piece = list(targets[start : start + TARGETS_PER_MESSAGE])
            message = DeploymentTargetsChanged(deployment_id=deployment_id, targets=piece)
            await self._server.tell_room(_room(deployment_id, user_id), events.DEPLOYMENT_TARGETS_CHANGED, message)


def _room(deployment_id: str, user_id: int | None) -> str:
    return f"deployment:{deployment_id}:{'all' if user_id is None else user_id}"
