"""Which dashboards watch which runs, and hear of every task of theirs.

Invariant: a dashboard watches a run only after it was found to be one that its user may see, a few at once, and only
while it is connected; whoever signs out or loses a right is disconnected, and with that stops to watch. What is told of
tasks is read for whoever hears it, because not all of them may see every device of the run.
"""

from collections.abc import Sequence
from typing import Any

from app.devices.scope import Scope
from app.realtime.answers import accepted, refusal
from app.realtime.link import LinkServer
from app.tasks.reading import WorkReader
from deployx_protocol import events
from deployx_protocol.checks import decode
from deployx_protocol.task_messages import TasksChanged, TaskView, WatchRun

RUNS_MAX = 20
"""That one dashboard may watch at once."""
TASKS_PER_MESSAGE = 250


class RunWatch:
    """The watched runs of this node's dashboards."""

    def __init__(self, server: LinkServer, reader: WorkReader) -> None:
        self._server = server
        self._reader = reader
        self._by_sid: dict[str, set[str]] = {}
        self._users: dict[str, int | None] = {}

    async def watch(self, sid: str, user_id: int | None, payload: Any) -> dict[str, Any]:
        """Take `watch_run`; what changes after the answer is told. Raises InvalidPayload, Unavailable."""
        run_id = decode(payload, WatchRun).run_id
        mine = self._by_sid.setdefault(sid, set())
        self._users[sid] = user_id
        if run_id not in mine and len(mine) >= RUNS_MAX:
            return refusal("too_many", f"A dashboard watches at most {RUNS_MAX} runs; send unwatch_run first.")
        if not await self._reader.may_see(Scope(user_id), run_id):
            return refusal("not_found", "There is no such run.")
        if self._by_sid.get(sid) is mine:  # it did not leave meanwhile
            mine.add(run_id)
            await self._server.enter_room(sid, _room(run_id, user_id))
        return accepted()

    async def unwatch(self, sid: str, payload: Any) -> dict[str, Any]:
        """Take `unwatch_run`. Raises InvalidPayload."""
        run_id = decode(payload, WatchRun).run_id
        mine = self._by_sid.get(sid, set())
        if run_id in mine:
            mine.discard(run_id)
            await self._server.leave_room(sid, _room(run_id, self._users[sid]))
        return accepted()

    def forget(self, sid: str) -> None:
        """This dashboard is gone."""
        self._by_sid.pop(sid, None)
        self._users.pop(sid, None)

    def runs(self) -> set[str]:
        """The runs that someone watches."""
        return set().union(*self._by_sid.values())

    def by_user(self) -> dict[int | None, set[str]]:
        """The runs that each user watches; None: those who see everything."""
        found: dict[int | None, set[str]] = {}
        for sid, runs in self._by_sid.items():
            found.setdefault(self._users[sid], set()).update(runs)
        return found

    async def tell(self, run_id: str, user_id: int | None, tasks: Sequence[TaskView]) -> None:
        """Tell those dashboards of ``user_id`` that watch this run of its ``tasks``, which they may see."""
        for start in range(0, len(tasks), TASKS_PER_MESSAGE):
            message = TasksChanged(run_id=run_id, tasks=list(tasks[start : start + TASKS_PER_MESSAGE]))
            await self._server.tell_room(_room(run_id, user_id), events.TASKS_CHANGED, message)


def _room(run_id: str, user_id: int | None) -> str:
    return f"run:{run_id}:{'all' if user_id is None else user_id}"
