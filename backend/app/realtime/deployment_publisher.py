"""From hints to what dashboards hear of deployments and their targets: as ``run_publisher`` does for runs and tasks.

Invariant: what is sent was read after the commit that caused it, and in order, because one task reads and sends. A tick
reads a bounded number of rows; what is left over, newer by then, follows with the next.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from app.deployments.reading import DeploymentReader
from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.realtime.dashboards import DashboardGateway
from app.realtime.deployment_watching import DeploymentWatch
from app.realtime.ticks import take, ticking

TICK_S = 0.25
DEPLOYMENTS_PER_TICK = 50
TARGETS_PER_TICK = 1_000


class DeploymentPublisher:
    """Gathers hints of deployments and targets and tells dashboards, until cancelled."""

    def __init__(self, reader: DeploymentReader, dashboards: DashboardGateway, watch: DeploymentWatch) -> None:
        self._reader = reader
        self._dashboards = dashboards
        self._watch = watch
        self._deployments: dict[str, None] = {}
        self._targets: dict[str, str] = {}
        """Target id → deployment id, oldest hint first."""
        self._everything = False
        self._woken = asyncio.Event()

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note."""
        watched = self._watch.deployments()
        someone = self._dashboards.any_watching()
        for hint in hints:
            match hint.kind:
                case HintKind.DEPLOYMENT if someone:
                    self._deployments[hint.run_id] = None
                case HintKind.DEPLOYMENT_TARGET if hint.run_id in watched:
                    self._targets[hint.task_id] = hint.run_id
                case HintKind.EVERYTHING if someone:
                    self._everything = True
                case _:
                    continue
            self._woken.set()

    async def run(self) -> None:
        """Tell, one tick after the other, until cancelled."""
        await ticking(self._woken, TICK_S, self._tell, self._owed)

    def _owed(self) -> bool:
        return bool(self._deployments or self._targets or self._everything)

    async def _tell(self) -> None:
        if self._everything:
            self._deployments |= dict.fromkeys(await self._reader.unfinished())
            self._everything = False
        deployments = take(self._deployments, DEPLOYMENTS_PER_TICK)
        targets: dict[str, str] = {}
        try:
            await self._tell_deployments(list(deployments))
            targets = take(self._targets, TARGETS_PER_TICK)
            await self._tell_targets(targets)
        except Unavailable:
            self._deployments = deployments | self._deployments
            self._targets = targets | self._targets
            raise

    async def _tell_deployments(self, deployment_ids: Collection[str]) -> None:
        users = [audience.user_id for audience in self._dashboards.audiences()]
        if not deployment_ids or not users:
            return
        for user_id, views in (await self._reader.by_ids(deployment_ids, users)).items():
            await self._dashboards.send_deployments(user_id, views)

    async def _tell_targets(self, targets: Mapping[str, str]) -> None:
        for user_id, watched in self._watch.by_user().items():
            wanted = [target_id for target_id, deployment_id in targets.items() if deployment_id in watched]
            if wanted:
                for deployment_id, views in (await self._reader.targets_by_ids(wanted, user_id)).items():
                    await self._watch.tell(deployment_id, user_id, views)
