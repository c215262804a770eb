"""What one simulated agent owes the server: reports and output, said again until they are acknowledged.

As the real agent does it: a report is the present state, told a moment late unless the task is over, so that what it
passed through in between is not told; output goes over the link up to the preview, and the rest is posted from the
acknowledged chunk on. ``Mood`` is what chaos makes of the messages that leave.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from app.sim import plants
from app.sim.http import AgentHttp, NotNow, NotThere
from app.sim.link import Link
from app.sim.machine import Entry
from app.sim.plants import Plant
from deployx_protocol import events, limits
from deployx_protocol.frames import HEADER_BYTES, Frame
from deployx_protocol.task_messages import OutputChunk, TaskAcknowledged, TaskOutput, TaskUpdate, TaskUpdates

GATHER_S = 0.1
REPEAT_S = 5.0
REPEAT_MAX_S = 30.0
"""As the real agent repeats what is not acknowledged: a server that is late is not asked ever more of."""
POST_AGAIN_S = 1.0
_UPDATES_PER_MESSAGE = 40
_CHUNKS_PER_MESSAGE = 100
_WITH_END_BYTES = 512
"""So much output goes with the report of a task's end, however many of those are in a message."""
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
    report_at: float
    pause_s: float = REPEAT_S
    sent_seq: int = 0
    output_at: float = 0.0
    """When what was sent of its output and is not acknowledged is said again."""
    output_pause_s: float = REPEAT_S


def _longer(pause_s: float) -> float:
    return min(pause_s * 1.5, REPEAT_MAX_S)


class Outbox:
    """``settled`` hears of each entry of which nothing is owed any more, ``unknown`` of those that no server knows."""

    def __init__(
        self, mood: Mood, plant: Plant | None, settled: Callable[[Entry], None], unknown: Callable[[Entry], None]
    ) -> None:
        self.mood = mood
        self._plant = plant
        self._settled = settled
        self._unknown = unknown
        self._owed: dict[str, _Owed] = {}
        self._wake = asyncio.Event()
        self._wake_posts = asyncio.Event()
        self.acknowledged = asyncio.Event()
        """Set while the server has acknowledged all that there is to say."""

    # ------------------------------------------------------------ what happens here

    def clear(self) -> None:
        """The process was killed: what is owed is found in the journal again."""
        self._owed.clear()

    def report(self, entry: Entry, *, at_once: bool = False) -> None:
        """Tell the present state of ``entry``."""
        entry.saved_state = None
        if not entry.history or entry.history[-1] is not entry.state:
            entry.history.append(entry.state)
        owed = self._owe(entry)
        owed.report_at = 0.0 if entry.final or at_once else asyncio.get_running_loop().time() + GATHER_S
        owed.pause_s = REPEAT_S

    def printed(self, entry: Entry) -> None:
        """There is more output of ``entry``."""
        self._owe(entry)
        self._wake_posts.set()

    def say_again(self, entry: Entry) -> None:
        """Tell all that was ever told of ``entry``, as if nothing had been acknowledged."""
        entry.saved_seq = 0
        self._owed.pop(entry.task_id, None)
        self.report(entry, at_once=True)

    def _owe(self, entry: Entry) -> _Owed:
        owed = self._owed.get(entry.task_id)
        if owed is None:
            owed = self._owed[entry.task_id] = _Owed(entry, 0.0, sent_seq=entry.saved_seq)
        self.acknowledged.clear()
        self._wake.set()
        return owed

    # ------------------------------------------------------------ what the server says

    def heard(self, message: TaskAcknowledged, journal: dict[str, Entry]) -> None:
        """Some of it is saved."""
        for update in message.updates:
            entry = journal.get(update.task_id)
            if entry and entry.state is update.state:
                entry.saved_state = update.state
                self._settle(entry)
        for output in message.output:
            entry = journal.get(output.task_id)
            if entry:
                self._saved(entry, output.next_seq)
        for task_id in message.unknown:
            entry = journal.get(task_id)
            if entry:
                self._give_up(entry)

    def _saved(self, entry: Entry, next_seq: int) -> None:
        gap = next_seq < entry.saved_seq
        entry.saved_seq = next_seq
        owed = self._owed.get(entry.task_id)
        if owed:
            owed.sent_seq = next_seq if gap else max(owed.sent_seq, next_seq)
            owed.output_pause_s = REPEAT_S
            owed.output_at = asyncio.get_running_loop().time() + REPEAT_S
        self._settle(entry)
        self._wake.set()
        self._wake_posts.set()

    def _settle(self, entry: Entry) -> None:
        if not entry.owed:
            self._paid(entry)
            self._settled(entry)

    def _give_up(self, entry: Entry) -> None:
        self._paid(entry)
        self._unknown(entry)

    def _paid(self, entry: Entry) -> None:
        self._owed.pop(entry.task_id, None)
        if not self._owed:
            self.acknowledged.set()

    # ------------------------------------------------------------ saying

    async def serve(self, link: Link, http: AgentHttp, token: str, journal: Iterable[Entry]) -> None:
        """Say what is owed over this connection, until it is lost. Raises LinkLost."""
        for entry in journal:
            if entry.final is None:
                entry.saved_state = None
            if entry.owed:
                self._owed[entry.task_id] = _Owed(entry, 0.0, sent_seq=entry.saved_seq)
        self.acknowledged.clear() if self._owed else self.acknowledged.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(link))
            group.create_task(self._post(http, token))

    async def _send(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            for event, payload in self.mood.shape(list(self._messages(loop.time()))):
                await link.send(event, payload)
            times = [owed.report_at for owed in self._owed.values() if owed.entry.saved_state is not owed.entry.state]
            times += [owed.output_at for owed in self._owed.values() if owed.sent_seq > owed.entry.saved_seq]
            try:
                async with asyncio.timeout_at(min(times, default=None)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _messages(self, now: float) -> Iterable[Outgoing]:
        updates: list[TaskUpdate] = []
        for owed in list(self._owed.values()):
            entry = owed.entry
            if not self._goes_along(owed):
                yield from self._preview(owed, now)
            if entry.saved_state is not entry.state and owed.report_at <= now:
                owed.report_at = now + owed.pause_s
                owed.pause_s = _longer(owed.pause_s)
                updates += self._updates(owed, now)
        for start in range(0, len(updates), _UPDATES_PER_MESSAGE):
            yield events.TASK_UPDATES, TaskUpdates(updates=updates[start : start + _UPDATES_PER_MESSAGE]).to_json()

    def _goes_along(self, owed: _Owed) -> bool:
        """Whether its output is little, and goes with the report of its end."""
        entry = owed.entry
        tells_end = entry.final is not None and entry.saved_state is not entry.state
        little = len(entry.chunks) == 1 and entry.size <= _WITH_END_BYTES
        return tells_end and little and owed.sent_seq == 0 and not self.mood.mixed

    def _preview(self, owed: _Owed, now: float) -> Iterable[Outgoing]:
        entry = owed.entry
        if owed.sent_seq > entry.saved_seq and now >= owed.output_at:
            owed.sent_seq = entry.saved_seq  # unanswered for so long: it is said once more
            owed.output_pause_s = _longer(owed.output_pause_s)
        while owed.sent_seq < entry.preview:
            end = self._end(entry, owed.sent_seq, entry.preview, limits.CHUNK_BYTES)
            end = owed.sent_seq + 1 if self.mood.mixed else min(end, owed.sent_seq + _CHUNKS_PER_MESSAGE)
            chunks = [OutputChunk.of(seq, *entry.chunks[seq]) for seq in range(owed.sent_seq, end)]
            owed.sent_seq, owed.output_at = end, now + owed.output_pause_s
            yield events.TASK_OUTPUT, TaskOutput(task_id=entry.task_id, chunks=chunks).to_json()

    def _end(self, entry: Entry, start: int, end: int, most_bytes: int) -> int:
        """Up to where the chunks from ``start`` on go together; at least one does."""
        size = 0
        for seq in range(start, end):
            size += HEADER_BYTES + len(entry.chunks[seq][1])
            if size > most_bytes and seq > start:
                return seq
        return end

    def _updates(self, owed: _Owed, now: float) -> Iterable[TaskUpdate]:
        """Its present state; in a bad mood, all that it has been as well, in no order."""
        entry = owed.entry
        earlier = [
            TaskUpdate(task_id=entry.task_id, state=state) for state in entry.history if state is not entry.state
        ]
        present = entry.final or TaskUpdate(
            task_id=entry.task_id, state=entry.state, phase=entry.phase, percent=entry.percent
        )
        if self._goes_along(owed):
            owed.sent_seq, owed.output_at = 1, now + owed.output_pause_s
            present = msgspec.structs.replace(present, output=[OutputChunk.of(0, *entry.chunks[0])])
        said = [*(earlier if self.mood.mixed or self.mood.twice else ()), present]
        if self.mood.mixed:
            self.mood.dice.shuffle(said)
        for update in said:
            if plants.swallows(self._plant, update):
                entry.saved_state = update.state
                self._settle(entry)
            else:
                yield update

    # ------------------------------------------------------------ posting

    async def _post(self, http: AgentHttp, token: str) -> None:
        """Post what lies beyond the preview, one task after the other; what cannot be posted now, a moment later."""
        while True:
            self._wake_posts.clear()
            beyond = [
                owed.entry
                for owed in self._owed.values()
                if owed.entry.preview <= owed.entry.saved_seq < len(owed.entry.chunks)
            ]
            try:
                for entry in beyond:
                    await self._post_some(http, token, entry)
            except NotNow:
                await asyncio.sleep(POST_AGAIN_S)
            else:
                if not beyond:
                    await self._wake_posts.wait()

    async def _post_some(self, http: AgentHttp, token: str, entry: Entry) -> None:
        start = entry.saved_seq
        end = self._end(entry, start, len(entry.chunks), limits.OUTPUT_POST_MAX_BYTES)
        frames = plants.posted(self._plant, [Frame(seq, *entry.chunks[seq]) for seq in range(start, end)])
        try:
            if self.mood.twice:
                await http.post(token, entry.task_id, frames)
            self._saved(entry, await http.post(token, entry.task_id, frames))
        except NotThere:
            self._give_up(entry)
