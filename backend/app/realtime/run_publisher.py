"""From hints to what dashboards hear of runs and tasks: every tick, read what hints named and tell who may know.

Invariant: what is sent was read after the commit that caused it, and in order, because one task reads and sends. A tick
reads a bounded number of rows; what is left over, newer by then, follows with the next. A hint that nobody present
cares for is dropped: whoever comes later reads the rows.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from app.clock import Clock, utcnow
from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.realtime.dashboards import DashboardGateway
from app.realtime.ticks import take, ticking
from app.realtime.watching import RunWatch
from app.tasks.reading import WorkReader

log = structlog.get_logger()

TICK_S = 0.1
RUNS_PER_TICK = 100
TASKS_PER_TICK = 1_000
DEVICES_PER_TICK = 500
FIRST_LOOK = timedelta(minutes=10)
LOOK_MARGIN = timedelta(minutes=1)
"""What the clocks of two servers may differ by, and what a transaction takes."""


class RunPublisher:
    """Gathers hints of runs and tasks and tells dashboards, until cancelled."""

    def __init__(
        self, reader: WorkReader, dashboards: DashboardGateway, watch: RunWatch, clock: Clock = utcnow
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._dashboards = dashboards
        self._watch = watch
        self._runs: dict[str, None] = {}
        self._tasks: dict[str, str] = {}
        """Task id → run id, oldest hint first."""
        self._devices: dict[int, None] = {}
        """That came or went, on which the reasons of their waiting tasks depend."""
        self._everything = False
        self._looked_at: datetime | None = None
        self._woken = asyncio.Event()

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note."""
        watched = self._watch.runs()
        someone = self._dashboards.any_watching()
        for hint in hints:
            match hint.kind:
                case HintKind.RUN if someone:
                    self._runs[hint.run_id] = None
                case HintKind.TASK if hint.run_id in watched:
                    self._tasks[hint.task_id] = hint.run_id
                case HintKind.DEVICE_STATUS if watched:
                    self._devices[hint.device_id] = None
                case HintKind.EVERYTHING if someone:
                    self._everything = True
                case _:
                    continue
            self._woken.set()

    async def run(self) -> None:
        """Tell, one tick after the other, until cancelled."""
        await ticking(self._woken, TICK_S, self._tell, self._owed)

    def _owed(self) -> bool:
        return bool(self._runs or self._tasks or self._devices or self._everything)

    async def _look_everywhere(self) -> None:
        """Hints were lost, nobody knows which: look at whatever may have changed since everything was looked at."""
        now = self._clock()
        since = (self._looked_at or now - FIRST_LOOK) - LOOK_MARGIN
        self._runs |= dict.fromkeys(await self._reader.runs_since(since))
        self._tasks |= await self._reader.tasks_since(self._watch.runs(), since)
        self._everything, self._looked_at = False, now

    async def _tell(self) -> None:
        if self._everything:
            await self._look_everywhere()
        runs = take(self._runs, RUNS_PER_TICK)
        devices = take(self._devices, DEVICES_PER_TICK)
        tasks: dict[str, str] = {}
        try:
            await self._tell_runs(list(runs))
            if devices:
                self._tasks |= await self._reader.unfinished_of(list(devices), self._watch.runs())
            tasks = take(self._tasks, TASKS_PER_TICK)
            await self._tell_tasks(tasks)
        except Unavailable:
            self._runs = runs | self._runs
            self._devices = devices | self._devices
            self._tasks = tasks | self._tasks
            raise

    async def _tell_runs(self, run_ids: Collection[str]) -> None:
        audiences = self._dashboards.audiences()
        if not run_ids or not audiences:
            return
        views = await self._reader.by_ids(run_ids)
        for audience in audiences:
            mine = [view for view in views if audience.scope.owns(view.user_id)]
            await self._dashboards.send_runs(audience.user_id, mine)

    async def _tell_tasks(self, tasks: Mapping[str, str]) -> None:
        for user_id, watched in self._watch.by_user().items():
            wanted = [task_id for task_id, run_id in tasks.items() if run_id in watched]
            if wanted:
                for run_id, views in (await self._reader.tasks_by_ids(wanted, user_id)).items():
                    await self._watch.tell(run_id, user_id, views)
