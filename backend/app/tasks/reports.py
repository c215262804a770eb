"""What agents say about their tasks, a batch at a time: reports and output, committed before they are acknowledged.

Invariant: whoever speaks for a device speaks of that device's tasks only, whatever ids it names. What comes again, late
or in another order is acknowledged and changes nothing; output has no gaps, because a chunk that is not the next one
is not taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from app.audit.actions import SERVER, Action, Actor, numbers
from app.audit.lately import Lately
from app.clock import Clock, utcnow
from app.devices.models import Device
from app.hints import HintKind
from app.tasks import lifecycle, repository, settling
from app.tasks.models import Run, TaskOutput, TaskRelease
from app.tasks.rows import LockedTask
from app.uow import Unit, UnitOfWork
from deployx_protocol.frames import Frame
from deployx_protocol.task_messages import OutputSaved, TaskUpdate, UpdateSaved
from deployx_protocol.tasks import REFUSED_BY_POLICY, TaskState

_RECORDED_AGAIN_S = 60.0
_RELEASES = cast("sa.Table", TaskRelease.__table__)
_SAVE_RELEASE = (
    sa.update(_RELEASES)
    .where(_RELEASES.c.task_id == sa.bindparam("b_task_id"))
    .values(phase=sa.bindparam("b_phase"), percent=sa.bindparam("b_percent"), outcome=sa.bindparam("b_outcome"))
)


@dataclass(frozen=True, slots=True)
class Reported:
    """Reports of one device, oldest first."""

    device_id: int
    updates: Sequence[TaskUpdate]

    @property
    def task_ids(self) -> set[str]:
        """The tasks it is about."""
        return {update.task_id for update in self.updates}


@dataclass(frozen=True, slots=True)
class Printed:
    """Output of one task of a device, in the order of its chunks."""

    device_id: int
    task_id: str
    frames: Sequence[Frame]

    @property
    def task_ids(self) -> set[str]:
        """The task it is about."""
        return {self.task_id}


def printed_with(update: TaskUpdate) -> list[Frame]:
    """The output that goes with a report."""
    return [Frame(chunk.seq, chunk.stream, chunk.data) for chunk in update.output]


@dataclass(slots=True)
class Saved:
    """What is committed of one item. ``unknown`` are tasks that this device does not have, ``foreign`` those of them
    that are another's."""

    updates: list[UpdateSaved] = field(default_factory=list)
    output: list[OutputSaved] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


class ReportService:
    """Saves what agents say."""

    def __init__(self, uow: UnitOfWork, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._clock = clock
        self._lately = Lately(_RECORDED_AGAIN_S)

    async def save_many(self, items: Sequence[Reported | Printed]) -> list[Saved]:
        """What became of each, committed. Raises Unavailable; then nothing was written."""
        async with self._uow.begin() as unit:
            named = {task_id for item in items for task_id in item.task_ids}
            tasks, runs = await repository.lock_with_runs(unit.session, named)
            batch = _Batch(tasks, runs, self._clock())
            saved = [batch.take(item) for item in items]
            await batch.write(unit)
            await self._record_foreign(unit, items, saved)
        return saved

    async def _record_foreign(self, unit: Unit, items: Sequence[Reported | Printed], saved: Sequence[Saved]) -> None:
        """Leave in the record which devices spoke of another one's tasks, each once a minute."""
        spoke = {item.device_id: one.foreign[0] for item, one in zip(items, saved, strict=True) if one.foreign}
        spoke = {device_id: task_id for device_id, task_id in spoke.items() if self._lately.first(device_id)}
        if spoke:
            query = sa.select(Device.id, Device.agent_id, Device.source_ip).where(Device.id.in_(spoke))
            for device_id, agent_id, source_ip in await unit.session.execute(query):
                actor = Actor.agent(device_id, agent_id, source_ip or "")
                unit.record(actor, Action.REQUEST_REFUSED, spoke[device_id], "a report of another device's task")


class _Batch:
    """The rows that one batch of items touches, and what it changes."""

    def __init__(self, tasks: dict[str, LockedTask], runs: dict[str, Run], now: datetime) -> None:
        self._tasks = tasks
        self._runs = runs
        self._now = now
        self._moved: dict[str, LockedTask] = {}
        self._found: set[int] = set()
        """Devices that have what was given up, and have not started it."""
        self._grown: dict[str, LockedTask] = {}
        self._chunks: list[dict[str, Any]] = []
        self._releases: dict[str, TaskUpdate] = {}
        """What was said last of each task of a release."""

    def take(self, item: Reported | Printed) -> Saved:
        """Apply one item to the rows; what may be acknowledged of it once they are committed."""
        saved = Saved()
        for task_id in sorted(item.task_ids):
            task = self._tasks.get(task_id)
            if task is None or task.device_id != item.device_id:
                saved.unknown.append(task_id)
                if task is not None:
                    saved.foreign.append(task_id)
        if isinstance(item, Reported):
            for update in item.updates:
                if update.task_id not in saved.unknown:
                    if update.output:
                        next_seq = self._store(self._tasks[update.task_id], printed_with(update))
                        saved.output.append(OutputSaved(task_id=update.task_id, next_seq=next_seq))
                    self._report(self._tasks[update.task_id], update)
                    saved.updates.append(UpdateSaved(task_id=update.task_id, state=update.state))
        elif not saved.unknown:
            next_seq = self._store(self._tasks[item.task_id], item.frames)
            saved.output.append(OutputSaved(task_id=item.task_id, next_seq=next_seq))
        return saved

    def _report(self, task: LockedTask, update: TaskUpdate) -> None:
        lost = task.state == TaskState.LOST
        run = self._runs[task.run_id]
        if lifecycle.report(task, run, update, self._now):
            self._moved[task.id] = task
            if run.release is not None:
                self._releases[task.id] = update
            if lost and task.state == TaskState.ACCEPTED and task.device_id:
                self._found.add(task.device_id)
        elif lifecycle.progress(task, run, update, self._now):
            self._grown[task.id] = task
            self._releases[task.id] = update

    def _store(self, task: LockedTask, frames: Sequence[Frame]) -> int:
        """Take the frames that come next; the seq that is wanted then."""
        if lifecycle.forgotten(task):
            return max((frame.seq + 1 for frame in frames), default=task.output_next_seq)
        for frame in frames:
            if frame.seq > task.output_next_seq:
                break
            if frame.seq == task.output_next_seq:
                self._append(task, frame)
        return task.output_next_seq

    def _append(self, task: LockedTask, frame: Frame) -> None:
        room = max(0, self._runs[task.run_id].output_quota_bytes - task.output_bytes)
        data = frame.data[:room]
        if data:
            self._chunks.append({"task_id": task.id, "seq": frame.seq, "stream": frame.stream, "data": data})
        task.output_next_seq += 1
        task.output_bytes += len(data)
        task.output_lost_bytes += len(frame.data) - len(data)
        self._grown[task.id] = task

    def _record_refusals(self, unit: Unit) -> None:
        """What machines did not let their server do: one entry for each run and reason in this batch."""
        refused: dict[tuple[str, str], list[LockedTask]] = {}
        for task in self._moved.values():
            if task.code in REFUSED_BY_POLICY:
                refused.setdefault((task.run_id, task.code), []).append(task)
        for (run_id, code), tasks in sorted(refused.items()):
            devices = numbers(task.device_id for task in tasks if task.device_id)
            run = self._runs[run_id]
            unit.record(SERVER, Action.RUN_REFUSED, run_id, run.title, code=code, why=tasks[0].message, devices=devices)

    def _said_of_releases(self) -> list[dict[str, Any]]:
        return [
            {
                "b_task_id": task_id,
                "b_phase": update.phase.value if update.phase else "",
                "b_percent": update.percent,
                "b_outcome": update.outcome.value,
            }
            for task_id, update in sorted(self._releases.items())
        ]

    async def write(self, unit: Unit) -> None:
        """Write what changed."""
        await repository.save_tasks(unit.session, {**self._moved, **self._grown}.values())
        if self._chunks:
            await (await unit.session.connection()).execute(sa.insert(TaskOutput), self._chunks)
        if self._releases:
            await (await unit.session.connection()).execute(_SAVE_RELEASE, self._said_of_releases())
        self._record_refusals(unit)
        await settling.settle(unit, self._moved.values(), self._runs, self._now)
        for device_id in sorted(self._found):
            unit.hint(HintKind.TASKS_FOUND, device_id)
        settling.hint_tasks(unit, [task for task in self._grown.values() if task.id not in self._moved])
