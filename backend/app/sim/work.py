"""The tasks of one simulated agent: journalled before they are answered, started once, reported until acknowledged.

As the real agent does it, with a journal in memory and no command that is really run. A script is fetched and checked
before it counts as started.
"""

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from app.sim import plants, releases
from app.sim.commands import doing
from app.sim.http import AgentHttp, NotNow, NotThere
from app.sim.link import Link
from app.sim.machine import Entry, Machine, Stage
from app.sim.outbox import Mood, Outbox
from app.sim.plants import Plant
from app.sim.witness import Seen, Witness, mark
from deployx_protocol import events
from deployx_protocol.checks import decode
from deployx_protocol.releases import Outcome, Phase
from deployx_protocol.task_messages import (
    STDOUT,
    ReleaseOrder,
    Script,
    Task,
    TaskAcknowledged,
    TaskAssigned,
    TaskCancel,
    TaskUpdate,
)
from deployx_protocol.tasks import TaskCode, TaskState

PARALLEL = 4
FETCH_AGAIN_S = 1.0


@dataclass(slots=True)
class Work:
    """The tasks of ``machine``; what is there of them after a restart is what the journal says."""

    machine: Machine
    witness: Witness
    mood: Mood
    plant: Plant | None
    boot_id: str
    http: AgentHttp
    outbox: Outbox = field(init=False)
    _queue: deque[tuple[Entry, float]] = field(default_factory=deque)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _token: str = ""

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.mood, self.plant, self._settled, self._unknown)

    # ------------------------------------------------------------ the process

    def restart(self, boot_id: str) -> None:
        """The process was killed; another one finds the journal as it is, and ends what had been started."""
        self.boot_id = boot_id
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        self._queue.clear()
        self.outbox.clear()
        for entry in self.machine.journal.values():
            if entry.stage is Stage.STARTED:
                outcome, order = Outcome.NONE, entry.task and entry.task.release
                if order:
                    outcome = releases.cut_short(self.machine, order.action, order.sha256, entry.phase)
                entry.phase = entry.percent = None
                self._finish(entry, TaskState.INTERRUPTED, code=TaskCode.AGENT_KILLED, outcome=outcome)

    def lose_journal(self, journal_id: str) -> None:
        """The disk was replaced; a restart follows."""
        for task_id in self.machine.journal:
            seen = self.witness.tasks[task_id]
            seen.journal_lost = seen.acknowledged_at is None
        self.machine.lose_journal(journal_id)

    def stop(self) -> None:
        """Do nothing more."""
        for task in self._running.values():
            task.cancel()

    # ------------------------------------------------------------ what the server says

    def deliver(self, event: str, payload: Any) -> None:
        """One event about tasks."""
        match event:
            case events.TASK_ASSIGNED:
                for task in decode(payload, TaskAssigned).tasks:
                    self._assigned(task)
                self._start_more()
            case events.TASK_CANCEL:
                message = decode(payload, TaskCancel)
                for task_id in message.task_ids:
                    self._cancel(task_id)
                for task_id in message.unstarted:
                    self._withdraw(task_id)
            case events.TASK_ACKNOWLEDGED:
                self.outbox.heard(decode(payload, TaskAcknowledged), self.machine.journal)

    def _assigned(self, task: Task) -> None:
        entry = self.machine.journal.get(task.task_id)
        if entry is None:
            seen = self.witness.received(self.machine.agent_id, task.task_id)
            entry = self.machine.journal[task.task_id] = Entry(task.task_id, task, self.boot_id)
            if seen.device != self.machine.agent_id or task.agent_id != self.machine.agent_id:
                self.witness.device(self.machine.agent_id).refused.append(f"was given task {task.task_id} of another")
                self._finish(entry, TaskState.FAILED, code=TaskCode.WRONG_DEVICE)
            elif task.known:
                self._finish(entry, TaskState.LOST, code=TaskCode.NOT_IN_JOURNAL)
            else:
                self._enqueue(entry, task)
        elif entry.stage is Stage.RECEIVED and entry.boot_id != self.boot_id:
            entry.boot_id, entry.task = self.boot_id, task
            self._enqueue(entry, task)
        self.outbox.report(entry)

    def _cancel(self, task_id: str, code: str = "") -> None:
        entry = self.machine.journal.get(task_id)
        if entry is None:
            self.witness.received(self.machine.agent_id, task_id)
            entry = self.machine.journal[task_id] = Entry(task_id, None, self.boot_id)
        if entry.final is None:
            running = self._running.pop(task_id, None)
            if running:
                running.cancel()
            self._finish(entry, TaskState.CANCELLED, code=code)
            self._start_more()
        self.outbox.report(entry)

    def _withdraw(self, task_id: str) -> None:
        entry = self.machine.journal.get(task_id)
        if entry is None or entry.stage is Stage.RECEIVED:
            self._cancel(task_id, TaskCode.WITHDRAWN)
        else:
            self.outbox.report(entry)

    def _settled(self, entry: Entry) -> None:
        if entry.final:
            self.witness.acknowledged(entry.task_id)

    def _unknown(self, entry: Entry) -> None:
        self.witness.device(self.machine.agent_id).refused.append(f"the server does not know task {entry.task_id}")

    async def serve(self, link: Link, token: str) -> None:
        """Say what is owed over this connection, until it is lost. Raises LinkLost."""
        self._token = token
        await self.outbox.serve(link, self.http, token, list(self.machine.journal.values()))

    def say_again(self) -> None:
        """Tell all that was ever told of the last tasks, as if nothing had been acknowledged."""
        for entry in list(self.machine.journal.values())[-8:]:
            self.outbox.say_again(entry)

    # ------------------------------------------------------------ doing

    def _enqueue(self, entry: Entry, task: Task) -> None:
        self._queue.append((entry, asyncio.get_running_loop().time() + task.expires_in_s))

    def _start_more(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._queue and len(self._running) < PARALLEL:
            entry, start_by = self._queue.popleft()
            if entry.final or entry.task is None:
                continue
            if now >= start_by:
                self._finish(entry, TaskState.EXPIRED)
                continue
            self._running[entry.task_id] = asyncio.ensure_future(self._run(entry, entry.task))

    async def _run(self, entry: Entry, task: Task) -> None:
        if task.release is not None:
            await self._handle(entry, task, task.release)
            self._start_more()
            return
        script = await self._fetch(task.script) if task.script else b""
        if script is None:
            del self._running[entry.task_id]
            self._finish(entry, TaskState.FAILED, code=TaskCode.SCRIPT_UNAVAILABLE)
        else:
            await self._do(entry, task, script)
        self._start_more()

    async def _handle(self, entry: Entry, task: Task, order: ReleaseOrder) -> None:
        """Install a release, or go back, as ``releases`` says for this machine."""
        seen = self.witness.tasks[entry.task_id]
        entry.stage = Stage.STARTED
        seen.starts += 1

        def at(phase: Phase, percent: int | None = None) -> None:
            entry.phase, entry.percent = phase, percent
            self.outbox.report(entry)

        at(Phase.FETCHING, 0)
        payload = await self._payload(order)
        if payload is None:
            ended = releases.UNREADABLE
        else:
            ended = await releases.handle(self.machine, order.action, order.sha256, payload, at)
        del self._running[entry.task_id]
        entry.phase = entry.percent = None
        said = {"exit_code": ended.exit_code, "code": ended.code, "outcome": ended.outcome, "message": ended.message}
        self._finish(entry, ended.state, **said)

    async def _payload(self, order: ReleaseOrder) -> bytes | None:
        """What the order names; None if the server does not have it."""
        while True:
            try:
                body = await self.http.release(self._token, order.sha256)
            except NotThere:
                return None
            except NotNow:
                await asyncio.sleep(FETCH_AGAIN_S)
                continue
            return body if hashlib.sha256(body).hexdigest() == order.sha256 else None

    async def _fetch(self, script: Script) -> bytes | None:
        """The script's bytes; None if the server does not have them."""
        while True:
            try:
                body = await self.http.script(self._token, script.sha256)
            except NotThere:
                return None
            except NotNow:
                await asyncio.sleep(FETCH_AGAIN_S)
                continue
            if hashlib.sha256(body).hexdigest() == script.sha256:
                return plants.fetched(self.plant, body)
            return None

    async def _do(self, entry: Entry, task: Task, script: bytes) -> None:
        seen = self.witness.tasks[entry.task_id]
        entry.stage = Stage.STARTED
        self.outbox.report(entry)
        for _ in range(plants.times(self.plant, entry.task_id)):
            seen.starts += 1
            seen.script = hashlib.sha256(script).hexdigest() if task.script else ""
            what = doing(self.machine, task, script)
            pause_s = min(what.lasts_s, task.timeout_s) / (len(what.chunks) + 1)
            kept = plants.spooled(self.plant, entry.task_id, what.chunks)
            for printed, spooled in zip(what.chunks, kept, strict=True):
                await _passed(pause_s)
                self._print(entry, seen, printed, spooled)
            await _passed(pause_s)
        del self._running[entry.task_id]
        if what.lasts_s > task.timeout_s:
            self._finish(entry, TaskState.TIMED_OUT, signal=15)
        else:
            state = TaskState.FAILED if what.exit_code else TaskState.SUCCEEDED
            self._finish(entry, state, exit_code=what.exit_code, duration_s=what.lasts_s)

    def _print(self, entry: Entry, seen: Seen, printed: plants.Chunk, spooled: plants.Chunk) -> None:
        stream, data = printed
        seen.output.append((stream, mark(data)))
        entry.spool(*spooled)
        self.outbox.printed(entry)

    def _finish(self, entry: Entry, state: TaskState, **fields: Any) -> None:
        entry.final = TaskUpdate(
            task_id=entry.task_id,
            state=state,
            chunks=len(entry.chunks),
            stdout_bytes=sum(len(data) for stream, data in entry.chunks if stream == STDOUT),
            stderr_bytes=sum(len(data) for stream, data in entry.chunks if stream != STDOUT),
            digest=_digest(entry.chunks) if entry.stage is Stage.STARTED else "",
            **fields,
        )
        entry.stage, entry.task = Stage.FINISHED, None
        seen = self.witness.tasks[entry.task_id]
        seen.state, seen.exit_code = state.value, entry.final.exit_code
        self.outbox.report(entry)


async def _passed(pause_s: float) -> None:
    """Nothing, at once: to let a thousand others of this process go first would be to take as long as they do."""
    if pause_s:
        await asyncio.sleep(pause_s)


def _digest(chunks: list[tuple[int, bytes]]) -> str:
    kept = [hashlib.sha256(b"".join(data for one, data in chunks if one == stream)).digest() for stream in (1, 2)]
    return hashlib.sha256(b"".join(kept)).hexdigest()
