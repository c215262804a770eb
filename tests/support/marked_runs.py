"""Runs whose tasks append to a file as they start and as they end: what was done, whatever anybody says about it.

From it come the figures that crashes are judged by. **L**: tasks that were promised and are not there, or are said to
have succeeded and have not. **D**: lines that are there twice. **U**: tasks that are not over in the end, or were seen
without a reason and what comes next.
"""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from deployx_protocol.tasks import FINAL
from tests.support.node import eventually
from tests.support.server_process import Operator

SETTLED_S = 300.0
SAID_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Figures:
    """All three have to be 0."""

    L: int = 0
    D: int = 0
    U: int = 0


class MarkedRuns:
    """Runs that ``operator`` starts; their tasks write to files in ``folder``."""

    def __init__(self, operator: Operator, folder: Path) -> None:
        self.operator = operator
        self.folder = folder
        self._marker = folder / "marker"
        self._promised: dict[str, int] = {}
        self._printed: dict[str, int] = {}
        self._unexplained: set[str] = set()

    async def start(self, *, output_bytes: int = 0, until: Path | str = "", lasts_s: float = 0.0, **fields: Any) -> str:
        """A run on every device, or as ``fields`` say; asked for until the server says that it has it. Its id.

        Each task prints ``output_bytes``, and lasts until there is a file ``until``, or for ``lasts_s``.
        """
        line = f"echo start $DEPLOYX_TASK_ID >> {self._marker}; head -c {output_bytes} /dev/zero; "
        line += f"until test -e {until}; do sleep 0.1; done; " if until else f"sleep {lasts_s}; " if lasts_s else ""
        line += f"echo end $DEPLOYX_TASK_ID >> {self._marker}"
        body = {"shell": line, "targets": {"selector": "*"}, "timeout_s": 600, **fields}
        run = await self.insist("POST", "/runs", body)
        self._promised[run["id"]] = run["total"]
        self._printed[run["id"]] = output_bytes
        return str(run["id"])

    async def insist(self, method: str, path: str, body: Any = None, *, or_conflict: bool = False) -> Any:
        """Ask until somebody answers, under one key: it is done once, however often it is asked for.

        ``or_conflict``: what is said again may be answered with 409, because it was heard the first time.
        """
        key = {"idempotency-key": uuid.uuid4().hex}
        async with asyncio.timeout(SETTLED_S):
            while True:
                try:
                    answer = await self.operator.client.request(method, path, json=body, headers=key)
                    if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
                        break
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(SAID_AGAIN_S)
        conflict = or_conflict and answer.status_code == httpx2.codes.CONFLICT
        assert answer.is_success or conflict, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def forget(self, run: str) -> None:
        """Nobody expects anything of this run any more; what its tasks write still counts."""
        del self._promised[run]

    async def tasks(self, run: str) -> list[dict[str, Any]]:
        """The tasks of a run as the server shows them."""
        found: list[dict[str, Any]] = (await self.insist("GET", f"/runs/{run}/tasks?limit=500"))["items"]
        self._unexplained |= {
            task["id"]
            for task in found
            if task["state"] not in FINAL and not (task["reason"] and task["next_event"] and task["deadline_at"])
        }
        return found

    async def in_state(self, run: str, *states: str) -> dict[str, Any]:
        """The only task of a run, as soon as it is in one of these states."""

        async def look() -> dict[str, Any] | None:
            [task] = await self.tasks(run)
            return task if task["state"] in states else None

        found: dict[str, Any] = await eventually(look, within_s=SETTLED_S, what=f"the task {' or '.join(states)}")
        return found

    async def settled(self, within_s: float = SETTLED_S) -> list[dict[str, Any]]:
        """Every task, when each is over and its output complete, or the time is up."""
        over: dict[str, list[dict[str, Any]]] = {}
        tasks: list[dict[str, Any]] = []

        async def all_over() -> bool:
            tasks.clear()
            for run in self._promised:
                found = over.get(run) or await self.tasks(run)
                if all(task["state"] in FINAL and task["output_complete"] for task in found):
                    over[run] = found
                tasks.extend(found)
            return len(over) == len(self._promised)

        with contextlib.suppress(AssertionError):  # the figures say it
            await eventually(all_over, within_s=within_s)
        return tasks

    def lines(self) -> Counter[str]:
        """How often each line stands in the file."""
        return Counter(self._marker.read_text().splitlines() if self._marker.exists() else [])

    def figures(self, tasks: Collection[dict[str, Any]], *, may_be_lost: bool = False) -> Figures:
        """What was said of ``tasks`` held to what was done."""
        lines = self.lines()
        done = [task for task in tasks if task["state"] == "succeeded"]
        untrue = [
            task
            for task in done
            if not (lines[f"start {task['id']}"] and lines[f"end {task['id']}"])
            or task["output_bytes"] != self._printed[task["run_id"]]
            or task["exit_code"] != 0
        ]
        lost = [task for task in tasks if task["state"] == "lost"]
        unfinished = {task["id"] for task in tasks if task["state"] not in FINAL or not task["output_complete"]}
        return Figures(
            L=sum(self._promised.values()) - len(tasks) + len(untrue) + (0 if may_be_lost else len(lost)),
            D=sum(count - 1 for count in lines.values()),
            U=len(unfinished | self._unexplained),
        )
