"""A scripted server that hands out tasks, keeps what comes of them, and acknowledges it when a test lets it."""

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from deployx_protocol import checks, events, frames
from deployx_protocol.messages import AgentRegister
from deployx_protocol.task_messages import (
    STDERR,
    STDOUT,
    OutputChunk,
    OutputSaved,
    Script,
    Task,
    TaskAcknowledged,
    TaskAssigned,
    TaskCancel,
    TaskOutput,
    TaskUpdate,
    TaskUpdates,
    UpdateSaved,
)
from deployx_protocol.tasks import FINAL, TaskState
from tests.support.agent_process import AgentProcess
from tests.support.scripted_peer import DEADLINE_S, Peer

TOKEN = "token-of-this-session"
Ready = Callable[..., Awaitable[AgentProcess]]
"""``await ready(**settings)``: an agent that listens for tasks."""

AT_ONCE = 50
"""Tasks in one message: a server keeps to the size that an agent takes."""
EACH_S = 0.1
"""For each task that was submitted, its end may be waited for so much longer."""


class TaskPeer(Peer):
    """``acknowledges`` says whether a report is committed here; output always is, unless ``takes_output`` is off."""

    def __init__(self) -> None:
        super().__init__()
        self.http_token = TOKEN
        self.acknowledges: Callable[[TaskUpdate], bool] = lambda _: True
        self.takes_output = True
        self.reads_output_of_reports = True
        """Off: as a server before it came with reports."""
        self.posts_fail_with: list[int] = []
        self.posts: list[int] = []
        """The length of each post of output."""
        self.scripts: dict[str, bytes] = {}
        self.fetched: list[str] = []
        """The hash of each script that was asked for."""
        self.updates: list[TaskUpdate] = []
        self.output: dict[str, list[frames.Frame]] = {}
        self.tasks: dict[str, Task] = {}
        """What ``submit`` took; handed out at each registration until it is known what became of it."""
        self.saved: dict[str, TaskState] = {}
        """The last state of each task that was acknowledged."""
        self.agent_id = ""
        self._sid = ""
        self._prefix = f"{secrets.token_hex(4)}-0000-7000-8000"
        self._numbers = itertools.count(1)
        self._told = asyncio.Condition()

    # ------------------------------------------------------------ asking

    def task(self, *argv: str, **fields: Any) -> Task:
        """A task for the agent that registered last: a command, or what ``fields`` say."""
        fields = {"timeout_s": 60, "expires_in_s": 600, "output_quota_bytes": 1 << 20, **fields}
        if argv:
            fields["argv"] = list(argv)
        fields.setdefault("agent_id", self.agent_id)
        fields.setdefault("task_id", f"{self._prefix}-{next(self._numbers):012x}")
        return Task(**fields)

    def script(self, text: bytes, *interpreter: str, args: tuple[str, ...] = ()) -> Script:
        """A script that can be fetched from here."""
        sha256 = hashlib.sha256(text).hexdigest()
        self.scripts[sha256] = text
        return Script(sha256=sha256, size=len(text), interpreter=list(interpreter), args=list(args))

    async def assign(self, *tasks: Task) -> None:
        await self.emit(self._sid, events.TASK_ASSIGNED, TaskAssigned(tasks=list(tasks)))

    async def cancel(self, *task_ids: str) -> None:
        await self.emit(self._sid, events.TASK_CANCEL, TaskCancel(task_ids=list(task_ids)))

    async def withdraw(self, *task_ids: str) -> None:
        await self.emit(self._sid, events.TASK_CANCEL, TaskCancel(task_ids=[], unstarted=list(task_ids)))

    async def say(self, message: TaskAcknowledged) -> None:
        await self.emit(self._sid, events.TASK_ACKNOWLEDGED, message)

    async def do(self, *argv: str, **fields: Any) -> TaskUpdate:
        """Assign a task and wait for its end, and all of its output."""
        task = self.task(*argv, **fields)
        await self.assign(task)
        return await self.ended(task.task_id)

    async def submit(self, *tasks: Task) -> None:
        """Assign, and again at each registration, as the server does."""
        self.tasks |= {task.task_id: task for task in tasks}
        await self.assign(*tasks)

    async def _assign_again(self) -> None:
        waiting = [
            msgspec.structs.replace(task, known=self.saved.get(task_id) is TaskState.ACCEPTED)
            for task_id, task in self.tasks.items()
            if self.saved.get(task_id) in (None, TaskState.ACCEPTED)
        ]
        for start in range(0, len(waiting), AT_ONCE):
            await self.assign(*waiting[start : start + AT_ONCE])

    async def all_over(self) -> None:
        """Wait until what became of every submitted task is acknowledged."""
        try:
            await self.told(lambda: not self._unfinished(), DEADLINE_S + EACH_S * len(self.tasks))
        except TimeoutError:
            raise AssertionError(f"not over: {self._unfinished()}") from None

    def _unfinished(self) -> dict[str, TaskState | None]:
        return {task_id: state for task_id in self.tasks if (state := self.saved.get(task_id)) not in FINAL}

    # ------------------------------------------------------------ what came

    def states(self, task_id: str) -> list[TaskState]:
        """What was reported of a task, repeats left out."""
        said = [update.state for update in self.updates if update.task_id == task_id]
        return [state for state, _ in itertools.groupby(said)]

    async def told(self, condition: Callable[[], Any], within_s: float = DEADLINE_S) -> None:
        """Wait until ``condition`` holds of what came about tasks."""
        async with asyncio.timeout(within_s), self._told:
            await self._told.wait_for(condition)

    async def reported(self, task_id: str, state: TaskState, count: int = 1) -> TaskUpdate:
        """Wait for the ``count``-th report of this state."""

        def all_of_it() -> list[TaskUpdate]:
            return [update for update in self.updates if (update.task_id, update.state) == (task_id, state)]

        await self.told(lambda: len(all_of_it()) >= count)
        return all_of_it()[count - 1]

    async def ended(self, task_id: str) -> TaskUpdate:
        """Wait for the end of a task, and all of its output."""

        def end() -> TaskUpdate | None:
            return next((u for u in self.updates if u.task_id == task_id and u.state in FINAL), None)

        await self.told(lambda: (update := end()) and len(self.output.get(task_id, [])) >= update.chunks)
        update = end()
        assert update is not None
        return update

    def printed(self, task_id: str, stream: int = STDOUT) -> bytes:
        return b"".join(frame.data for frame in self.output.get(task_id, []) if frame.stream == stream)

    def digest(self, task_id: str) -> str:
        """As an agent has to report it."""
        parts = [hashlib.sha256(self.printed(task_id, stream)).digest() for stream in (STDOUT, STDERR)]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    # ------------------------------------------------------------ events

    async def accept(self, sid: str, message: AgentRegister) -> None:
        self._sid, self.agent_id = sid, message.agent_id
        await super().accept(sid, message)
        await self._assign_again()

    async def _on_event(self, event: str, sid: str, payload: Any = None) -> None:
        await super()._on_event(event, sid, payload)
        if event == events.TASK_UPDATES:
            updates = checks.decode(payload, TaskUpdates).updates
            saved = [UpdateSaved(task_id=u.task_id, state=u.state) for u in updates if self.acknowledges(u)]
            output = [
                OutputSaved(task_id=u.task_id, next_seq=await self._keep(u.task_id, _frames(u.output)))
                for u in updates
                if u.output and self.takes_output and self.reads_output_of_reports
            ]
            async with self._told:
                self.updates += updates
                self.saved |= {update.task_id: update.state for update in saved}
                self._told.notify_all()
            if saved or output:
                await self.emit(sid, events.TASK_ACKNOWLEDGED, TaskAcknowledged(updates=saved, output=output))
        elif event == events.TASK_OUTPUT:
            message = checks.decode(payload, TaskOutput)
            if self.takes_output:
                next_seq = await self._keep(message.task_id, _frames(message.chunks))
                saved_output = OutputSaved(task_id=message.task_id, next_seq=next_seq)
                await self.emit(sid, events.TASK_ACKNOWLEDGED, TaskAcknowledged(output=[saved_output]))

    async def _keep(self, task_id: str, chunks: list[frames.Frame]) -> int:
        kept = self.output.setdefault(task_id, [])
        for chunk in chunks:
            if chunk.seq == len(kept):
                kept.append(chunk)
            elif chunk.seq < len(kept):
                assert kept[chunk.seq] == chunk, "a repeat says the same"
        async with self._told:
            self._told.notify_all()
        return len(kept)

    # ------------------------------------------------------------ HTTP

    def extend(self, application: web.Application) -> None:
        application.router.add_post("/api/agent/v1/tasks/{task_id}/output", self._post_output)
        application.router.add_get("/api/agent/v1/scripts/{sha256}", self._get_script)

    async def _post_output(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.http_token}":
            return web.Response(status=401)
        body = await request.read()
        async with self._told:
            self.posts.append(len(body))
            self._told.notify_all()
        if self.posts_fail_with:
            return web.Response(status=self.posts_fail_with.pop(0))
        return web.json_response(
            {"next_seq": await self._keep(request.match_info["task_id"], list(frames.decode(body)))}
        )

    async def _get_script(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.http_token}":
            return web.Response(status=401)
        self.fetched.append(request.match_info["sha256"])
        body = self.scripts.get(request.match_info["sha256"])
        return web.Response(status=404) if body is None else web.Response(body=body)


def _frames(chunks: list[OutputChunk]) -> list[frames.Frame]:
    return [frames.Frame(chunk.seq, chunk.stream, chunk.data) for chunk in chunks]
