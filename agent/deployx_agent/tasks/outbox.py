"""Reports and output, until the server has acknowledged them.

A report is the *present* state of a task, repeated until exactly that state is acknowledged; what it was in between is
not told if it passed within `GATHER_S`. Output goes over the link up to the preview, then by HTTP from the
acknowledged chunk on. Invariant: nothing is held in memory but what is just being sent; all of it is on the disk.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from deployx_agent.connection.transport import Answer, RequestError, SendError, Sink
from deployx_agent.logs import Log
from deployx_agent.tasks import steps
from deployx_agent.tasks.entry import REPEAT_S, Entry, clock, longer
from deployx_agent.tasks.reporting import updates_of, with_output
from deployx_protocol import checks, events, frames, limits
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.messages import Message
from deployx_protocol.task_messages import (
    OutputChunk,
    OutputSaved,
    TaskAcknowledged,
    TaskOutput,
)

GATHER_S = 0.1
PHASES_S = 1.0
"""Between two reports of what a release is at."""
POST_PAUSE_S = 0.5
"""Between two posts of a task that goes on printing little by little."""
_UPDATES_PER_MESSAGE = 40
_CHUNKS_PER_MESSAGE = 100


class Link(Protocol):
    """What is needed from a connection that has registered."""

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Raises SendError."""

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        """Raises RequestError."""

    async def download(self, path: str, bearer: str, begin: int, sink: Sink) -> None:
        """Raises RequestError, and what ``sink`` raises."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A link, and who the agent is on it."""

    link: Link
    agent_id: str
    http_token: str
    public_urls: Sequence[str] = ()
    """Of the server, as it says."""


class Posted(Message, frozen=True, kw_only=True):
    """The answer to a post of output."""

    next_seq: int


class Together:
    """Within it nobody is woken to send; at its end what is due is sent at once. For what happens in one step."""

    def __init__(self, send_now: Callable[[], None]) -> None:
        self._send_now = send_now
        self.lasts = False
        self.wakes = False

    def __enter__(self) -> None:
        self.lasts, self.wakes = True, False

    def __exit__(self, *_: object) -> None:
        self.lasts = False
        if self.wakes:
            self._send_now()


class Outbox:
    """What the server is owed about ``entries``. ``on_settled`` is told of each that is owed no more."""

    def __init__(self, entries: dict[str, Entry], on_settled: Callable[[Entry], None], log: Log) -> None:
        self._entries = entries
        self._on_settled = on_settled
        self._log = log
        self._reports: dict[str, Entry] = {}
        self._outputs: dict[str, Entry] = {}
        self.emptied = asyncio.Event()
        """Set while the server has acknowledged everything."""
        self.emptied.set()
        self._wake = asyncio.Event()
        self._link: Link | None = None
        self._sending = False
        self._rest: Coroutine[Any, Any, None] | None = None
        """Of what ``send_now`` has begun to send."""
        self.together = Together(self.send_now)
        """What is reported within it is sent at its end."""
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._wake_posts = asyncio.Event()

    # ------------------------------------------------------------ what happens here

    def report(self, entry: Entry) -> None:
        """Report the present state of ``entry``, until it is acknowledged."""
        if not entry.taken:
            return
        if entry.unknown:
            self._settle(entry)
            return
        entry.saved_state, entry.phase_untold = None, False
        entry.report_at = 0.0 if entry.over else entry.since + GATHER_S
        entry.report_pause_s = REPEAT_S
        self._reports.pop(entry.task_id, None)
        self._reports[entry.task_id] = entry
        self.emptied.clear()
        if entry.over:
            self.has_output(entry)
            self._wake_up()
        else:
            self._wake_at(entry.report_at)

    def told_phase(self, entry: Entry) -> None:
        """``entry`` has come to another phase, or further within it: report that, at most once in `PHASES_S`."""
        if entry.phase_untold or entry.over:
            return
        told_at = entry.told_phase_at
        self.report(entry)
        entry.phase_untold = True
        entry.report_at = max(entry.report_at, told_at + PHASES_S)
        self._wake_at(entry.report_at)

    def has_output(self, entry: Entry) -> None:
        """There is more output of ``entry``."""
        if entry.taken and not entry.unknown and entry.spool.unsaved:
            self._outputs[entry.task_id] = entry
            self.emptied.clear()
            self._wake_up()
            if entry.spool.size > limits.OUTPUT_PREVIEW_BYTES:
                self._wake_posts.set()

    # ------------------------------------------------------------ what the server says

    def acknowledged(self, message: TaskAcknowledged) -> None:
        """Forget what is committed over there. Output that went with a report and is not named did not arrive."""
        bare: list[Entry] = []
        for update in message.updates:
            entry = self._reports.get(update.task_id)
            if entry and update.state == entry.state and not entry.phase_untold:
                entry.saved_state = entry.state
                del self._reports[entry.task_id]
                self._settle(entry)
                bare += [entry] if with_output(entry) else []
        for output in message.output:
            self._saved(output)
        for entry in bare:
            if entry.spool.unsaved and not entry.unknown:
                entry.sent_offset = entry.spool.saved_offset
                self._wake_up()
        for task_id in message.unknown:
            entry = self._entries.get(task_id)
            if entry:
                self._log.warning("The server does not have this task any more", task_id=task_id)
                entry.unknown = True
                self._settle(entry)

    def _saved(self, output: OutputSaved) -> None:
        entry = self._outputs.get(output.task_id)
        if entry is None:
            return
        before = entry.spool.saved_offset
        entry.spool.saved(output.next_seq)
        offset = entry.spool.saved_offset
        entry.sent_offset = max(entry.sent_offset, offset) if offset >= before else offset
        entry.output_pause_s = REPEAT_S
        entry.output_at = clock() + REPEAT_S
        self._settle(entry)
        if entry.spool.unsaved:
            self._wake_up()
            self._wake_posts.set()

    def _settle(self, entry: Entry) -> None:
        if entry.unknown:
            self._reports.pop(entry.task_id, None)
        if entry.unknown or not entry.spool.unsaved:
            self._outputs.pop(entry.task_id, None)
        if not self._reports and not self._outputs:
            self.emptied.set()
        if entry.settled:
            self._on_settled(entry)

    # ------------------------------------------------------------ sending

    async def serve(self, connection: Connection) -> None:
        """Send over this connection until cancelled, or until it is gone."""
        for entry in list(self._entries.values()):
            self.report(entry)
            entry.sent_offset, entry.output_at, entry.output_pause_s = entry.spool.saved_offset, 0.0, REPEAT_S
            self.has_output(entry)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send(connection))
                if connection.http_token:
                    group.create_task(self._post(connection))
        except* SendError:
            pass  # the session has noticed, or will; the next registration begins anew
        finally:
            if self._link is connection.link:
                self._link = None

    async def _send(self, connection: Connection) -> None:
        self._link = connection.link
        while True:
            self._wake.clear()
            rest, self._rest = self._rest, None
            await (rest or self._send_due(connection.link))
            await self._wake.wait()

    async def _send_due(self, link: Link) -> None:
        self._sending = True
        try:
            now = clock()
            for entry in list(self._outputs.values()):
                await self._preview(link, entry, now)
            due = [entry for entry in self._reports.values() if entry.report_at <= now]
            for start in range(0, len(due), _UPDATES_PER_MESSAGE):
                await self._report(link, due[start : start + _UPDATES_PER_MESSAGE], now)
        finally:
            self._sending = False
        self._wake_for_next()

    def send_now(self) -> None:
        """Send what is due, if nobody is at it."""
        if self._link is None or self._sending:
            self._wake.set()
            return
        try:
            self._rest = steps.begin(self._send_due(self._link))
        except SendError:  # the session has noticed, or will
            return
        if self._rest:
            self._wake.set()

    def _wake_up(self) -> None:
        """Have the sender go on."""
        if self.together.lasts:
            self.together.wakes = True
        else:
            self._wake.set()

    def _on_alarm(self) -> None:
        self._alarm = None
        self._wake_for_next()

    def _wake_for_next(self) -> None:
        """Have the sender go on when the next thing is due, if there is any."""
        times = [entry.report_at for entry in self._reports.values()]
        times += [e.output_at for e in self._outputs.values() if e.sent_offset > e.spool.saved_offset]
        if times:
            self._wake_at(min(times))

    def _wake_at(self, at: float) -> None:
        """Have the sender go on then. Most of what is due later is settled before, and costs it nothing: an alarm that
        is too early looks again."""
        now = clock()
        if at <= now:
            self._wake_up()
        elif self._alarm is None or at < self._alarm_at:
            if self._alarm:
                self._alarm.cancel()
            self._alarm_at = at
            self._alarm = asyncio.get_running_loop().call_later(at - now, self._on_alarm)

    async def _report(self, link: Link, entries: list[Entry], now: float) -> None:
        for entry in entries:
            entry.report_at = now + entry.report_pause_s
            entry.report_pause_s = longer(entry.report_pause_s)
        updates = updates_of(entries, now)
        await link.send(events.TASK_UPDATES, {"updates": updates})

    async def _preview(self, link: Link, entry: Entry, now: float) -> None:
        """Send what of the preview was not sent yet, or was not acknowledged in time."""
        spool = entry.spool
        if entry.sent_offset > spool.saved_offset and now >= entry.output_at:
            entry.sent_offset = spool.saved_offset
            entry.output_pause_s = longer(entry.output_pause_s)
        if entry.sent_offset == 0 and entry.task_id in self._reports and with_output(entry):
            return  # it goes with the report
        while entry.sent_offset < min(spool.size, limits.OUTPUT_PREVIEW_BYTES):
            raw = spool.read(entry.sent_offset, limits.CHUNK_BYTES)
            chunks = [OutputChunk.of(*frame) for frame in frames.decode(raw)]
            for start in range(0, len(chunks), _CHUNKS_PER_MESSAGE):
                message = TaskOutput(task_id=entry.task_id, chunks=chunks[start : start + _CHUNKS_PER_MESSAGE])
                await link.send(events.TASK_OUTPUT, message.to_json())
            entry.sent_offset += len(raw)
            entry.output_at = now + entry.output_pause_s

    # ------------------------------------------------------------ posting

    async def _post(self, connection: Connection) -> None:
        """Post what lies beyond the preview, one task after the other."""
        while True:
            self._wake_posts.clear()
            now = clock()
            beyond = [e for e in self._outputs.values() if e.spool.saved_offset >= limits.OUTPUT_PREVIEW_BYTES]
            due = [
                entry for entry in beyond if entry.post_at <= now or entry.spool.size > entry.spool.saved_offset + _FULL
            ]
            for entry in due:
                if not await self._post_some(connection, entry):
                    return
            if not due:
                await _wait(self._wake_posts, min((e.post_at - now for e in beyond), default=None))

    async def _post_some(self, connection: Connection, entry: Entry) -> bool:
        """One post; False when nothing can be posted before the next registration."""
        spool = entry.spool
        body = spool.read(spool.saved_offset, limits.OUTPUT_POST_MAX_BYTES)
        path = f"/api/agent/v1/tasks/{entry.task_id}/output"
        why: Any
        try:
            answer = await connection.link.request("POST", path, connection.http_token, body)
            if answer.status == 200:
                posted = checks.decode(msgspec.json.decode(answer.body), Posted)
                self._saved(OutputSaved(task_id=entry.task_id, next_seq=posted.next_seq))
                entry.post_at = clock() + (0 if entry.over else POST_PAUSE_S)
                return True
            if answer.status == 401:
                return False
            if answer.status == 404:
                self.acknowledged(TaskAcknowledged(unknown=[entry.task_id]))
                return True
            why = f"the server answered {answer.status}"
        except (RequestError, InvalidPayload, msgspec.DecodeError) as error:
            why = error
        self._log.warning("Output could not be posted; it is tried again", task_id=entry.task_id, error=why)
        entry.post_at = clock() + REPEAT_S
        await asyncio.sleep(REPEAT_S)
        return True


_FULL = limits.OUTPUT_POST_MAX_BYTES


async def _wait(wake: asyncio.Event, timeout_s: float | None) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await wake.wait()
    except TimeoutError:
        pass
