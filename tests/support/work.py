"""Runs and tasks for tests: rows put into the database as the API puts them there, an agent that answers by hand."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx2
import sqlalchemy as sa

from app.clock import utcnow
from app.db import Database
from app.devices.models import Device
from app.ids import new_id
from app.tasks.models import Run, Task, TaskOutput
from deployx_protocol import events
from deployx_protocol.states import Trust
from deployx_protocol.task_messages import OutputChunk
from tests.support.machines import AgentPeer
from tests.support.node import eventually


def run(total: int = 1, *, expires_s: float = 3600, **values: Any) -> Run:
    """A run of `echo hi`; ``values`` replace what stands here."""
    now = utcnow()
    fields: dict[str, Any] = {
        "id": new_id(),
        "created_by": "ada@example.test",
        "kind": "command",
        "title": "echo hi",
        "argv": ["echo", "hi"],
        "timeout_s": 60.0,
        "output_quota_bytes": 1 << 20,
        "created_at": now,
        "expires_at": now + timedelta(seconds=expires_s),
        "total": total,
    }
    return Run(**fields | values)


def task(of: Run, device_id: int, **values: Any) -> Task:
    """A queued task of that run."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "run_id": of.id,
        "device_id": device_id,
        "device_name": f"device-{device_id}",
        "state": "queued",
        "created_at": of.created_at,
        "deadline_at": of.expires_at,
    }
    return Task(**fields | values)


async def queue(db: Database, device_ids: Sequence[int], **values: Any) -> list[str]:
    """A run for these devices; the ids of its tasks, in their order."""
    made = run(len(device_ids), **values)
    tasks = [task(made, device_id) for device_id in device_ids]
    ids = [one.id for one in tasks]
    async with db.write() as session:
        session.add(made)
        await session.flush()
        session.add_all(tasks)
    return ids


async def trust(db: Database, agent_id: str) -> int:
    """The device of this agent may be given work from now on; its id."""
    async with db.write() as session:
        await session.execute(sa.update(Device).where(Device.agent_id == agent_id).values(trust=Trust.TRUSTED))
        return (await session.scalars(sa.select(Device.id).where(Device.agent_id == agent_id))).one()


async def one_task(db: Database, task_id: str) -> Task:
    """The row of a task."""
    async with db.read() as session:
        return (await session.scalars(sa.select(Task).where(Task.id == task_id))).one()


async def tasks_of(db: Database, run_id: str) -> list[Task]:
    """The rows of a run's tasks, by id."""
    async with db.read() as session:
        return list(await session.scalars(sa.select(Task).where(Task.run_id == run_id).order_by(Task.id)))


async def run_of(db: Database, task_id: str) -> Run:
    """The row of its run."""
    async with db.read() as session:
        query = sa.select(Run).join(Task, Task.run_id == Run.id).where(Task.id == task_id)
        return (await session.scalars(query)).one()


async def in_state(db: Database, task_id: str, *states: str, within_s: float = 15.0) -> Task:
    """The row of a task, as soon as it is in one of these states."""

    async def look() -> Task | None:
        row = await one_task(db, task_id)
        return row if row.state in states else None

    found: Task = await eventually(look, within_s=within_s, what=f"the task {' or '.join(states)}")
    return found


async def output_of(db: Database, task_id: str) -> list[tuple[int, int, bytes]]:
    """What is stored of its output: (seq, stream, data), in order."""
    async with db.read() as session:
        query = sa.select(TaskOutput).where(TaskOutput.task_id == task_id).order_by(TaskOutput.seq)
        return [(chunk.seq, chunk.stream, chunk.data) for chunk in await session.scalars(query)]


def digest(stdout: bytes, stderr: bytes = b"") -> str:
    """The digest that an agent reports of its output."""
    both = hashlib.sha256(stdout).digest() + hashlib.sha256(stderr).digest()
    return hashlib.sha256(both).hexdigest()


class WorkPeer(AgentPeer):
    """An agent whose tasks the test does by hand."""

    http_token = ""

    async def start(self, **changes: Any) -> dict[str, Any]:
        """Connect, register and acknowledge; keep the token for HTTP."""
        success = await super().start(**changes)
        self.http_token = success["http_token"]
        return success

    async def assigned(self, **options: Any) -> list[dict[str, Any]]:
        """The tasks of the next `task_assigned`."""
        found: list[dict[str, Any]] = (await self.payload(events.TASK_ASSIGNED, **options))["tasks"]
        return found

    async def say(self, task_id: str, state: str, **fields: Any) -> dict[str, Any]:
        """Report one state; the answer to the event, which is no acknowledgement yet."""
        update = {"task_id": task_id, "state": state, **fields}
        answer: dict[str, Any] = await self.call(events.TASK_UPDATES, {"updates": [update]})
        return answer

    async def report(self, task_id: str, state: str, **fields: Any) -> None:
        """Report one state, and wait until it is acknowledged."""
        await self.say(task_id, state, **fields)
        saved = {"task_id": task_id, "state": state}
        await self.payload(events.TASK_ACKNOWLEDGED, where=lambda told: saved in told["updates"])

    async def write(self, task_id: str, *chunks: tuple[int, int, bytes]) -> int:
        """Send chunks of output (seq, stream, data); the seq that is acknowledged as the next."""
        sent = [OutputChunk.of(*chunk).to_json() for chunk in chunks]
        await self.emit(events.TASK_OUTPUT, {"task_id": task_id, "chunks": sent})
        told = await self.payload(
            events.TASK_ACKNOWLEDGED, where=lambda told: any(one["task_id"] == task_id for one in told["output"])
        )
        return int(next(one["next_seq"] for one in told["output"] if one["task_id"] == task_id))


class Api:
    """Somebody who starts runs and calls them off."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def start(self, device_ids: Sequence[int], **fields: Any) -> str:
        """Start a run on these devices; its id."""
        body = {"command": ["echo", "hi"], "targets": {"device_ids": list(device_ids)}, **fields}
        answer = await self._client.post("/api/v1/runs", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def accept(self, device_id: int) -> None:
        """Trust a device that waits."""
        answer = await self._client.post(f"/api/v1/devices/{device_id}/accept")
        assert answer.is_success, answer.text

    async def cancel(self, task_id: str) -> None:
        """Call a task off."""
        answer = await self._client.post(f"/api/v1/tasks/{task_id}/cancel")
        assert answer.is_success, answer.text


Enter = Callable[..., Awaitable[tuple[WorkPeer, int]]]
