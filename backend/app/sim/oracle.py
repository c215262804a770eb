"""L, D, U and P: what the devices did, compared with what the server shows of it. Pure; it never asks the server.

L  tasks that the server accepted and that are missing, or that it shows otherwise than they went: another end, another
   exit code, output that is not byte for byte what was printed, a later request begun before an earlier one; those
   that were given another script than was asked for, or none.
D  tasks that were started more than once.
U  tasks and runs that are not over and that nothing will end: no deadline, one that has passed, or a device that is
   there and has nothing to do.
P  devices that the server shows as online and are not, or the other way round, or that it took for something else.

What a lost journal excuses: a task that was in flight then may be `lost`, or may have got through. What was
acknowledged before is excused by nothing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from app.sim.witness import DeviceSeen, Report, Seen
from deployx_protocol.tasks import FINAL, TaskCode, TaskState

OVERDUE = timedelta(seconds=15)
"""How long past its deadline a task may be: the server looks every few seconds."""
_JOURNAL = frozenset({TaskCode.JOURNAL_NEW, TaskCode.JOURNAL_RESTORED})


@dataclass(slots=True)
class Asked:
    """A run that the server accepted."""

    run_id: str
    requested_at: float
    """On the monotonic clock, before the request."""
    device_ids: frozenset[int]
    limited: bool
    """Whether it had a limit in parallel, so that later runs may overtake it."""
    cancelled: bool = False
    script: str = ""
    """The SHA-256 of its script, if it has one."""


@dataclass(slots=True)
class Shown:
    """What the server shows at the end, each as the REST API has it."""

    runs: dict[str, dict[str, Any] | None]
    tasks: dict[str, list[dict[str, Any]]]
    """Run id → its tasks."""
    outputs: dict[str, list[tuple[int, str]]]
    """Task id → what can be read of its output."""
    devices: dict[str, dict[str, Any]]
    """Agent id → device."""


@dataclass(slots=True)
class Verdict:
    """One sentence for each finding."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether L = D = U = P = 0."""
        return not (self.lost or self.doubled or self.stuck or self.wrong)


def judge(asked: Sequence[Asked], shown: Shown, saw: Report, now: datetime) -> Verdict:
    """The verdict; ``now`` is when the tasks were read."""
    return _Judge(asked, shown, saw, now).judge()


def misplaced(devices: Sequence[DeviceSeen], shown: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each device that the server shows as something else than it is."""
    found: list[str] = []
    for device in devices:
        wanted = "online" if device.connected else "offline"
        status = shown[device.agent_id]["status"] if device.agent_id in shown else "missing"
        if status != wanted:
            found.append(f"{device.agent_id} is {wanted}; the server shows it as {status}")
        found += [f"{device.agent_id}: {reason}" for reason in device.refused]
    return found


class _Judge:
    def __init__(self, asked: Sequence[Asked], shown: Shown, saw: Report, now: datetime) -> None:
        self._asked = asked
        self._shown = shown
        self._saw = saw
        self._now = now
        self._devices = {device.agent_id: device for device in saw.devices}
        self._agents = {view["id"]: agent_id for agent_id, view in shown.devices.items()}
        self._verdict = Verdict()

    def judge(self) -> Verdict:
        for asked in self._asked:
            self._run(asked)
        self._order()
        for task_id, seen in self._saw.tasks.items():
            if seen.starts > 1:
                self._verdict.doubled.append(f"task {task_id} was started {seen.starts} times on {seen.device}")
        self._verdict.wrong = misplaced(self._saw.devices, self._shown.devices)
        return self._verdict

    def _run(self, asked: Asked) -> None:
        view, tasks = self._shown.runs.get(asked.run_id), self._shown.tasks.get(asked.run_id, [])
        if view is None:
            self._verdict.lost += [
                f"run {asked.run_id} is gone, with a task for device {id}" for id in asked.device_ids
            ]
            return
        missing = asked.device_ids - {task["device_id"] for task in tasks}
        self._verdict.lost += [f"run {asked.run_id} has no task for device {id}" for id in sorted(missing)]
        for task in tasks:
            self._task(asked, task)
        over = all(TaskState(task["state"]) in FINAL for task in tasks)
        if over and (view["finished_at"] is None or sum(view["counts"].values()) != len(tasks)):
            self._verdict.stuck.append(f"run {asked.run_id} does not show that all of its tasks are over")

    def _task(self, asked: Asked, task: dict[str, Any]) -> None:
        seen = self._saw.tasks.get(task["id"])
        agent_id = self._agents.get(task["device_id"], "")
        name = f"task {task['id']} on {task['device_name']}"
        if seen and seen.device != agent_id:
            self._verdict.lost.append(f"{name} was given to {seen.device}")
        elif seen and (asked.script != seen.script if seen.starts else seen.state == TaskState.FAILED):
            self._verdict.lost.append(
                f"{name} was not given its script: it {'ran another' if seen.starts else 'failed'}"
            )
        elif TaskState(task["state"]) not in FINAL:
            self._unfinished(task, seen, self._devices.get(agent_id), name)
        elif not (self._as_seen(task, seen) or self._excused(asked, task, seen, self._devices.get(agent_id))):
            self._verdict.lost.append(f"{name} {_story(seen)}; the server shows {task['state']} {task['code']}")

    def _unfinished(self, task: dict[str, Any], seen: Seen | None, device: DeviceSeen | None, name: str) -> None:
        deadline = datetime.fromisoformat(task["deadline_at"]) if task["deadline_at"] else None
        if seen and seen.state:
            self._verdict.lost.append(f"{name} {_story(seen)}; the server shows {task['state']}")
        elif deadline is None or deadline + OVERDUE < self._now or (device and device.connected):
            self._verdict.stuck.append(f"{name} {_story(seen)}; the server shows {task['state']} until {deadline}")

    def _as_seen(self, task: dict[str, Any], seen: Seen | None) -> bool:
        """Whether the server shows what the device did."""
        if seen is None or not seen.state or (task["state"], task["exit_code"]) != (seen.state, seen.exit_code):
            return False
        return seen.journal_lost or self._shown.outputs.get(task["id"], []) == seen.output

    def _excused(self, asked: Asked, task: dict[str, Any], seen: Seen | None, device: DeviceSeen | None) -> bool:
        """Whether the task may be over without the device having ended it."""
        if seen and seen.state and not seen.journal_lost:
            return False
        match TaskState(task["state"]):
            case TaskState.LOST:
                lost_at = device.journal_lost_at if device else []
                return task["code"] in _JOURNAL and any(at >= asked.requested_at for at in lost_at)
            case TaskState.CANCELLED:
                return seen is None and asked.cancelled
            case TaskState.EXPIRED:
                view = self._shown.runs[asked.run_id] or {}
                return seen is None and datetime.fromisoformat(view["expires_at"]) <= self._now
        return False

    def _order(self) -> None:
        """What one device was asked is begun in that order."""
        places: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for asked in self._asked:
            for task in [] if asked.limited else self._shown.tasks.get(asked.run_id, []):
                seen = self._saw.tasks.get(task["id"])
                if seen and seen.starts:
                    places[seen.device].append((seen.place, task["id"]))
        for device, found in places.items():
            for (before, _), (after, task_id) in pairwise(found):
                if after < before:
                    self._verdict.lost.append(f"task {task_id} on {device} overtook an earlier one")


def _story(seen: Seen | None) -> str:
    if seen is None:
        return "never reached its device"
    lost = ", whose journal was lost" if seen.journal_lost else ""
    if not seen.state:
        return f"{'was started' if seen.starts else 'was received'}, and has not ended{lost}"
    return f"ended as {seen.state} ({seen.exit_code}) with {len(seen.output)} chunks of output{lost}"
