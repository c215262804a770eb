"""Runs the programs of a release, one after the other, as any task runs: behind the latch, in the journal before they
may go, in a process group of their own that is ended as a whole, with what they print in the output of the task.

Invariant: whatever is to end a step also ends what the step has started.
"""

import asyncio
import math
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deployx_agent.releases.failure import Called, Failure
from deployx_agent.tasks import child as children
from deployx_agent.tasks import command, runner
from deployx_agent.tasks.command import CannotStart
from deployx_agent.tasks.entry import Entry
from deployx_agent.tasks.runner import Control, Ending
from deployx_agent.tasks.store import DiskError, Store
from deployx_agent.update import here
from deployx_protocol.limits import CHUNK_MAX_BYTES
from deployx_protocol.releases import Step
from deployx_protocol.task_messages import STDERR, Task
from deployx_protocol.tasks import TaskCode, TaskState

_QUERY_TIMEOUT_S = 300.0
_RETRY_S = 5.0


class Programs:
    """Those of one task. ``on_output`` is called when there is more in its spool."""

    def __init__(self, store: Store, entry: Entry, env: Mapping[str, str], on_output: Callable[[Entry], None]) -> None:
        self._store = store
        self._entry = entry
        self._env = dict(env)
        self._on_output = on_output

    def check(self) -> None:
        """Raises Called if the task is to end."""
        if self._entry.control.ending:
            raise Called(self._entry.control.ending)

    def say(self, line: str) -> None:
        """A line of the agent's own in the output, where what several programs print is one stream."""
        self._entry.spool.append(STDERR, f"deployx: {line}\n".encode()[:CHUNK_MAX_BYTES])
        self._on_output(self._entry)

    @property
    def said(self) -> str:
        """How the last program began to complain."""
        return self._entry.spool.stderr_head.decode("utf-8", "replace").strip()

    async def step(self, step: Step, folder: Path, name: str, at_most_s: float = math.inf) -> Ending:
        """Run a step in ``folder``, where its artifacts are; how it ended. Raises Called, Failure."""
        argv = step.command
        if step.artifact is not None:
            argv = [*step.interpreter, str(folder / step.artifact), *step.args]
        return await self.run(argv, step.shell, folder, step.env, min(step.timeout_s, at_most_s), name)

    async def must(self, argv: Sequence[str], name: str) -> None:
        """Run a program that has to succeed. Raises Called, Failure."""
        succeeded(await self.run(argv, None, Path("/"), {}, _QUERY_TIMEOUT_S, name), name)

    async def run(
        self,
        argv: Sequence[str] | None,
        shell: str | None,
        folder: Path,
        env: Mapping[str, str],
        timeout_s: float,
        name: str,
    ) -> Ending:
        """Run a program; how it ended, its own time-out included. Raises Called, Failure."""
        self.check()
        self.say(name)
        self._entry.spool.stderr_head = b""
        task = Task(
            task_id=self._entry.task_id,
            agent_id="",
            argv=list(argv) if argv else None,
            shell=shell,
            cwd=str(folder),
            env={**self._env, **env},
            timeout_s=timeout_s,
            expires_in_s=0,
            output_quota_bytes=0,
        )
        try:
            made = children.start(command.prepare(task, None, None, self._store.owner))
        except CannotStart as why:
            raise Failure(TaskCode.RELEASE_FAILED, f"`{name}` cannot be started: {why}") from None
        own, outer = Control(), self._entry.control
        passed_on, journalled = _passing_on(outer, own), False
        try:
            made.listen(self._entry.spool, self._told, self._store.threads)
            await self._journal(made.pid, made.mark, own)
            journalled = True
            ending = await runner.see_through(made, timeout_s, self._entry.spool, own, lambda: None)
        finally:
            outer.said.remove_done_callback(passed_on)
            if not journalled:
                await made.finish()
        self._on_output(self._entry)
        if outer.ending and ending.state is outer.ending.state:
            raise Called(outer.ending)
        return ending

    def _told(self) -> None:
        loop = self._entry.control.said.get_loop()
        loop.call_soon_threadsafe(self._on_output, self._entry)

    async def _journal(self, pid: int, mark: str, control: Control) -> None:
        """Have its process group in the journal, however long the disk takes to have room: what is half done has to be
        undone, and that takes programs as well."""
        while control.ending is None:
            try:
                await self._store.started(self._entry.task_id, pid, mark)
                return
            except DiskError:
                await control.wait(_RETRY_S)

    async def pause(self, seconds: float) -> None:
        """Wait. Raises Called if the task is to end meanwhile."""
        await self._entry.control.wait(seconds)
        self.check()

    async def asked(self, *argv: str, env: Mapping[str, str] | None = None, both: bool = False) -> tuple[int, str]:
        """What a program says that changes nothing: its exit code, and what it prints, or else how it complains; or
        ``both``. Not in the output."""
        try:
            base = command.prepare(_query(argv), None, None, self._store.owner)
        except CannotStart as why:
            return 127, str(why)
        given = {**base.env, **self._env, **(env or {})}

        def ask() -> tuple[int, str]:
            try:
                done = subprocess.run(  # noqa: S603
                    base.argv,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_QUERY_TIMEOUT_S,
                    check=False,
                    env=given,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                return 127, str(error)
            parts = (done.stdout, done.stderr) if both else (done.stderr if done.returncode else done.stdout,)
            return done.returncode, b"".join(parts).decode("utf-8", "replace")

        return await asyncio.get_running_loop().run_in_executor(self._store.threads, ask)


def python(module: str, *arguments: str) -> list[str]:
    """A program of the agent's own, in a process that it does not share its memory with."""
    return here.module(module, *arguments)


def _query(argv: Sequence[str]) -> Task:
    return Task(
        task_id="00000000-0000-7000-8000-000000000000",
        agent_id="",
        argv=list(argv),
        timeout_s=_QUERY_TIMEOUT_S,
        expires_in_s=0,
        output_quota_bytes=0,
    )


def _passing_on(outer: Control, own: Control) -> Callable[[object], None]:
    """What is said to the task is said to its program."""

    def say(_: object) -> None:
        if outer.ending:
            own.end(outer.ending.state, outer.ending.code, outer.ending.message)

    outer.said.add_done_callback(say)
    return say


def succeeded(ending: Ending, name: str) -> None:
    """Raises Failure unless it did."""
    if ending.state is TaskState.SUCCEEDED:
        return
    if ending.state is TaskState.TIMED_OUT:
        how = "did not end in time"
    elif ending.signal:
        how = f"was ended by signal {ending.signal}"
    else:
        how = f"failed with exit code {ending.exit_code}"
    why = f" ({ending.message.rstrip('.')})" if ending.message else ""
    raise Failure(TaskCode.RELEASE_FAILED, f"`{name}` {how}{why}.")
