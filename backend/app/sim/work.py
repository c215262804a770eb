"""The tasks of one simulated agent: journalled before they are answered, started once, reported until acknowledged.

As the real agent does it, with a journal in memory and no command that is really run. What is printed goes over the
link alone: it is far below the preview. ``Mood`` is what chaos makes of the messages that leave.
"""

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.sim import plants
from app.sim.commands import doing
from app.sim.link import Link
from app.sim.machine import Entry, Machine, Stage
from app.sim.plants import Plant
from app.sim.witness import Seen, Witness
from deployx_protocol import events
from deployx_protocol.checks import decode
from deployx_protocol.task_messages import (
    STDOUT,
    OutputChunk,
    Task,
    TaskAcknowledged,
    TaskAssigned,
    TaskCancel,
    TaskOutput,
    TaskUpdate,
    TaskUpdates,
)
from deployx_protocol.tasks import TaskCode, TaskState

PARALLEL = 4
REPEAT_S = 5.0
REPEAT_MAX_S = 30.0
"""As the real agent repeats what is not acknowledged: a server that is late is not asked ever more of."""
_UPDATES_PER_MESSAGE = 40
_CHUNKS_PER_MESSAGE = 100
Outgoing = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class Mood:
    """What happens to what the agent says: ``twice`` and ``mixed`` count the batches that it happens to."""

    dice: random.Random
    twice: int = 0
    mixed: int = 0

    def shape(self, messages: list[Outgoing]) -> list[Outgoing]:
        """``messages`` as they are sent."""
        if self.twice:
            self.twice -= 1
            messages = messages * 2
        if self.mixed:
            self.mixed -= 1
            self.dice.shuffle(messages)
        return messages


@dataclass(slots=True)
class _Owed:
    entry: Entry
    due: float = 0.0
    sent_seq: int = 0
    pause_s: float = REPEAT_S


@dataclass(slots=True)
class Work:
    """The tasks of ``machine``; what is there of them after a restart is what the journal says."""

    machine: Machine
    witness: Witness
    mood: Mood
    plant: Plant | None
    boot_id: str
    _owed: dict[str, _Owed] = field(default_factory=dict)
    _queue: deque[tuple[Entry, float]] = field(default_factory=deque)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the server has acknowledged all that there is to say."""

    # ------------------------------------------------------------ the process

    def restart(self, boot_id: str) -> None:
        """The process was killed; another one finds the journal as it is, and ends what had been started."""
        self.boot_id = boot_id
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        self._queue.clear()
        self._owed.clear()
        for entry in self.machine.journal.values():
            if entry.stage is Stage.STARTED:
                self._finish(entry, TaskState.INTERRUPTED, code=TaskCode.AGENT_KILLED)

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
                for task_id in decode(payload, TaskCancel).task_ids:
                    self._cancel(task_id)
            case events.TASK_ACKNOWLEDGED:
                self._acknowledged(decode(payload, TaskAcknowledged))

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
        self._report(entry)

    def _cancel(self, task_id: str) -> None:
        entry = self.machine.journal.get(task_id)
        if entry is None:
            self.witness.received(self.machine.agent_id, task_id)
            entry = self.machine.journal[task_id] = Entry(task_id, None, self.boot_id)
        if entry.final is None:
            running = self._running.pop(task_id, None)
            if running:
                running.cancel()
            self._finish(entry, TaskState.CANCELLED)
            self._start_more()
        self._report(entry)

    def _acknowledged(self, message: TaskAcknowledged) -> None:
        journal = self.machine.journal
        for update in message.updates:
            entry = journal.get(update.task_id)
            if entry and entry.state is update.state:
                entry.saved_state = update.state
                self._settle(entry)
        for output in message.output:
            entry = journal.get(output.task_id)
            if entry:
                gap = output.next_seq < entry.saved_seq
                entry.saved_seq = output.next_seq
                owed = self._owed.get(output.task_id)
                if owed:
                    owed.sent_seq = output.next_seq if gap else max(owed.sent_seq, output.next_seq)
                self._settle(entry)
        for task_id in message.unknown:
            self._paid(task_id)
            self.witness.device(self.machine.agent_id).refused.append(f"the server does not know task {task_id}")

    def _settle(self, entry: Entry) -> None:
        if not entry.owed:
            self._paid(entry.task_id)
            if entry.final:
                self.witness.acknowledged(entry.task_id)

    def _paid(self, task_id: str) -> None:
        self._owed.pop(task_id, None)
        if not self._owed:
            self.acknowledged.set()

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
            entry.stage = Stage.STARTED
            self._running[entry.task_id] = asyncio.ensure_future(self._do(entry, entry.task))

    async def _do(self, entry: Entry, task: Task) -> None:
        seen = self.witness.tasks[entry.task_id]
        self._report(entry)
        for _ in range(plants.times(self.plant, entry.task_id)):
            seen.starts += 1
            what = doing(self.machine, task)
            pause_s = min(what.lasts_s, task.timeout_s) / (len(what.chunks) + 1)
            kept = plants.spooled(self.plant, entry.task_id, what.chunks)
            for printed, spooled in zip(what.chunks, kept, strict=True):
                await asyncio.sleep(pause_s)
                self._print(entry, seen, printed, spooled)
            await asyncio.sleep(pause_s)
        del self._running[entry.task_id]
        if what.lasts_s > task.timeout_s:
            self._finish(entry, TaskState.TIMED_OUT, signal=15)
        else:
            state = TaskState.FAILED if what.exit_code else TaskState.SUCCEEDED
            self._finish(entry, state, exit_code=what.exit_code, duration_s=what.lasts_s)
        self._start_more()

    def _print(self, entry: Entry, seen: Seen, printed: plants.Chunk, spooled: plants.Chunk) -> None:
        stream, data = printed
        seen.output.append((stream, data.hex()))
        entry.chunks.append(spooled)
        self._owe(entry)

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
        self._report(entry)

    # ------------------------------------------------------------ saying

    def _report(self, entry: Entry) -> None:
        entry.saved_state = None
        if not entry.history or entry.history[-1] is not entry.state:
            entry.history.append(entry.state)
        self._owe(entry)

    def _owe(self, entry: Entry) -> None:
        owed = self._owed.setdefault(entry.task_id, _Owed(entry, sent_seq=entry.saved_seq))
        owed.due, owed.pause_s = 0.0, REPEAT_S
        self.acknowledged.clear()
        self._wake.set()

    def say_again(self) -> None:
        """Tell all that was ever told of the last tasks, as if nothing had been acknowledged."""
        for entry in list(self.machine.journal.values())[-8:]:
            entry.saved_seq = 0
            self._owed.pop(entry.task_id, None)
            self._report(entry)

    async def serve(self, link: Link) -> None:
        """Say what is owed over this connection, until it is lost. Raises LinkLost."""
        for entry in self.machine.journal.values():
            if entry.final is None:
                entry.saved_state = None
            if entry.owed:
                self._owed[entry.task_id] = _Owed(entry, sent_seq=entry.saved_seq)
        self.acknowledged.clear() if self._owed else self.acknowledged.set()
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now = loop.time()
            due = [owed for owed in self._owed.values() if owed.due <= now]
            for event, payload in self.mood.shape(list(self._messages(due, now))):
                await link.send(event, payload)
            next_due = min((owed.due for owed in self._owed.values()), default=None)
            try:
                async with asyncio.timeout_at(next_due):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _messages(self, due: list[_Owed], now: float) -> Iterable[Outgoing]:
        updates: list[TaskUpdate] = []
        for owed in due:
            again = owed.due > 0.0  # unanswered for so long: all of its output that is not saved is said once more
            owed.due = now + owed.pause_s
            owed.pause_s = min(owed.pause_s * 1.5, REPEAT_MAX_S)
            entry = owed.entry
            start = entry.saved_seq if again else owed.sent_seq
            owed.sent_seq = len(entry.chunks)
            yield from self._output(entry, start)
            if entry.saved_state is not entry.state:
                updates += self._updates(entry)
        for start in range(0, len(updates), _UPDATES_PER_MESSAGE):
            yield events.TASK_UPDATES, TaskUpdates(updates=updates[start : start + _UPDATES_PER_MESSAGE]).to_json()

    def _output(self, entry: Entry, start: int) -> Iterable[Outgoing]:
        chunks = [OutputChunk.of(seq, *entry.chunks[seq]) for seq in range(start, len(entry.chunks))]
        step = 1 if self.mood.mixed else _CHUNKS_PER_MESSAGE
        for first in range(0, len(chunks), step):
            message = TaskOutput(task_id=entry.task_id, chunks=chunks[first : first + step])
            yield events.TASK_OUTPUT, message.to_json()

    def _updates(self, entry: Entry) -> Iterable[TaskUpdate]:
        """Its present state; in a bad mood, all that it has been as well, in no order."""
        earlier = [
            TaskUpdate(task_id=entry.task_id, state=state) for state in entry.history if state is not entry.state
        ]
        said = [*(earlier if self.mood.mixed or self.mood.twice else ()), entry.final or _present(entry)]
        if self.mood.mixed:
            self.mood.dice.shuffle(said)
        for update in said:
            if plants.swallows(self.plant, update):
                entry.saved_state = update.state
                self._settle(entry)
            else:
                yield update


def _present(entry: Entry) -> TaskUpdate:
    return TaskUpdate(task_id=entry.task_id, state=entry.state)


def _digest(chunks: list[tuple[int, bytes]]) -> str:
    kept = [hashlib.sha256(b"".join(data for one, data in chunks if one == stream)).digest() for stream in (1, 2)]
    return hashlib.sha256(b"".join(kept)).hexdigest()
