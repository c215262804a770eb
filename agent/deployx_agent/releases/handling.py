"""Takes the tasks with a release, one at a time: accepts it or not, finds out what is to be done, and has it done.

Invariant: until an undertaking begins nothing of the machine is changed, whatever fails. Imported with the first of
these tasks, or when an earlier process has left one unfinished: most agents never need it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from deployx_agent.logs import Log
from deployx_agent.releases import confirm
from deployx_agent.releases.acceptance import Acceptance
from deployx_agent.releases.countdown import boot
from deployx_agent.releases.depot import Depot
from deployx_agent.releases.failure import Called, Failure, unfit
from deployx_agent.releases.fetch import Fetcher
from deployx_agent.releases.looking import Release
from deployx_agent.releases.memory import Current, Installed, Memory, Verdict, killed
from deployx_agent.releases.stages import Stage
from deployx_agent.releases.surroundings import Surroundings
from deployx_agent.releases.tools import Timer, Tools, ending_of, untouched
from deployx_agent.releases.undertaking import Undertaking
from deployx_agent.releases.way_back import WayBack
from deployx_agent.tasks.entry import Entry, clock
from deployx_agent.tasks.outbox import Connection
from deployx_agent.tasks.runner import Ending
from deployx_agent.tasks.spool import NOTHING, Spool
from deployx_agent.tasks.store import DiskError, Store
from deployx_protocol.releases import Action, Manifest, Outcome, Phase, parse
from deployx_protocol.releases import Kind as KindName
from deployx_protocol.task_messages import ReleaseOrder, Task
from deployx_protocol.tasks import TaskCode, TaskState

if TYPE_CHECKING:  # imported with the first of them
    from deployx_agent.update.flow import AgentUpdate

_ALONE_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What an earlier process has begun; ``is_over`` if it has ended it too."""

    task_id: str
    is_over: bool


class Releases:
    """Those of one agent."""

    def __init__(
        self,
        around: Surroundings,
        store: Store,
        connection: Callable[[], Connection | None],
        on_output: Callable[[Entry], None],
        on_phase: Callable[[Entry], None],
        log: Log,
    ) -> None:
        fetcher = Fetcher(
            around.folder.parent, connection, log, parallel=around.downloads_parallel, rate=around.download_rate
        )
        self._depot = Depot(around.folder, fetcher, connection, log)
        self._memory = Memory(around.folder, log)
        self._tools = Tools(around, self._memory, self._depot, store, on_output, on_phase, log)
        self._acceptance = Acceptance(self._tools)
        self._connection = connection
        self._origins: list[str] = []
        """Other addresses of the server, as it last said."""
        self._turn = asyncio.Lock()

    # ------------------------------------------------------------ a task

    async def do(self, entry: Entry, task: Task, on_started: Callable[[], None]) -> Ending | None:
        """Do it when no other release is under way; how it ended, None if the next process goes on with it."""
        if not await self._have_turn(entry):
            return _before_start(entry)
        try:
            entry.spool = self._tools.store.spool(task)
            entry.spool.holds = False
            await self._end_unfinished()
            if connection := self._connection():
                self._origins = confirm.others(connection.public_urls, self._tools.around.origin)
            await self._tools.store.started(task.task_id, 0, f"{boot()}:")
            on_started()
            return await self._handle(entry, task, _order(task))
        except DiskError as error:
            return untouched(TaskState.FAILED, TaskCode.DISK_FULL, f"The agent's disk cannot be used ({error}).")
        finally:
            self._turn.release()

    async def _have_turn(self, entry: Entry) -> bool:
        waiting = asyncio.ensure_future(self._turn.acquire())
        await asyncio.wait((waiting, entry.control.said), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return False
        late = bool(entry.start_by) and clock() >= entry.start_by
        if entry.control.ending or late:
            self._turn.release()
            return False
        return True

    async def _handle(self, entry: Entry, task: Task, order: ReleaseOrder) -> Ending | None:
        timer = Timer(entry, task.timeout_s)
        self._tools.say(entry, Phase.FETCHING)
        try:
            manifest = await self._acceptance.accepted(entry, task, order)
            timer.stop()
            timer = Timer(entry, min(task.timeout_s, manifest.timeout_s))
            return await self._follow(entry, order.action, order.sha256, manifest, timer)
        except Failure as why:
            return self._unchanged(Ending(TaskState.FAILED, why.code, str(why)))
        except Called as word:
            return self._unchanged(word.ending)
        except OSError as error:
            code = TaskCode.DISK_FULL if error.errno == 28 else TaskCode.START_FAILED
            return untouched(TaskState.FAILED, code, f"The agent's disk cannot be used ({error.strerror or error}).")
        finally:
            timer.stop()
            await self._tidy()

    def _unchanged(self, ending: Ending) -> Ending:
        """It ends before anything was changed."""
        current = self._memory.current()
        if current and current.stage is Stage.PREPARING:
            verdict = Verdict(state=ending.state, code=ending.code, message=ending.message, outcome=Outcome.UNTOUCHED)
            over = replace(current, stage=Stage.OVER, ending=verdict)
            self._memory.write(over)
        return untouched(ending.state, ending.code, ending.message)

    async def _follow(
        self, entry: Entry, action: Action, sha256: str, manifest: Manifest, timer: Timer
    ) -> Ending | None:
        if manifest.kind is KindName.AGENT:
            return await self._agent_update(entry, sha256, manifest).follow(action, timer)
        release = self._tools.release(manifest, entry)
        installed = self._memory.installed(manifest.name)
        ours = installed if installed and installed.sha256 == sha256 else None
        if action is Action.REMOVE:
            self._acceptance.taken_back(action, manifest, "")
        if action is Action.REVERT and ours and ours.before is not None:
            self._acceptance.taken_back(action, manifest, ours.back_to)
            return await self._revert(entry, ours, release)
        await self._depot.fetch(release.artifacts_of_detect(), 0, self._acceptance.fetched(entry))
        self._tools.say(entry, Phase.DETECTING)
        there = await release.is_there()
        if there is (action is Action.INSTALL) or (action is Action.REVERT and not there):
            return self._already(entry, action, sha256, manifest, ours)
        if action is Action.REMOVE:
            await self._acceptance.gather(entry, [release])
            return await self._begin(entry, _begun(entry, action, sha256, release, sha256), release, release, timer)
        back_to, before = await self._acceptance.previous(entry, sha256, manifest, installed)
        if action is Action.REVERT:
            if before is None:
                raise unfit(f"Nothing is kept of what was here before {manifest.name} {manifest.version}.")
            self._acceptance.taken_back(action, manifest, back_to)
            await self._acceptance.gather(entry, [before, release])
            return await self._begin(entry, _begun(entry, action, back_to, before, sha256), before, release, timer)
        await self._acceptance.gather(entry, [release, before] if before else [release])
        if before and not await before.is_there() and not self._goes_back_anyway(manifest, installed):
            back_to, before = "", None
        if manifest.kind is KindName.SCRIPT and manifest.confirm_s and not (before or manifest.uninstall):
            raise unfit("It has `confirm_s`, and nothing to go back by: it needs `previous` or `uninstall`.")
        self._memory.take(manifest.name, manifest.number)
        return await self._begin(entry, _begun(entry, action, sha256, release, back_to), release, before, timer)

    def _agent_update(self, entry: Entry, sha256: str, manifest: Manifest) -> "AgentUpdate":
        from deployx_agent.update.flow import AgentUpdate

        return AgentUpdate(self._tools, self._acceptance, entry, sha256, manifest)

    @staticmethod
    def _goes_back_anyway(manifest: Manifest, installed: Installed | None) -> bool:
        """Whether the previous release is put back although it was not found: a script can go back no other way, and
        what this agent has installed was there."""
        return manifest.kind is KindName.SCRIPT and (installed is not None or manifest.uninstall is None)

    def _already(self, entry: Entry, action: Action, sha256: str, manifest: Manifest, ours: Installed | None) -> Ending:
        """It is as it should be; what is installed is remembered for the next release to go back to."""
        if action is Action.INSTALL and ours is None:
            self._memory.take(manifest.name, manifest.number)
            here = Installed(task_id=entry.task_id, sha256=sha256, version=manifest.version)
            self._memory.commit(manifest.name, here)
        said = "is there already" if action is Action.INSTALL else "is not there"
        message = f"{manifest.name} {manifest.version} {said}; nothing was done."
        return Ending(TaskState.SUCCEEDED, message=message, outcome=Outcome.ALREADY)

    # ------------------------------------------------------------ doing it

    async def _begin(
        self, entry: Entry, current: Current, release: Release, before: Release | None, timer: Timer
    ) -> Ending | None:
        current = replace(current, origins=self._origins)
        self._memory.write(current)
        try:
            kept = await release.kind.prepare(removing=current.action is Action.REMOVE)
            release.programs.check()
        except (Failure, Called, OSError):
            release.kind.clean()
            raise
        current = replace(current, before=kept)
        return await Undertaking(self._tools, entry, current, release, before, timer).change()

    async def _revert(self, entry: Entry, installed: Installed, release: Release) -> Ending | None:
        """To what was kept when it was installed."""
        current = _begun(entry, Action.REVERT, installed.sha256, release, installed.back_to)
        current = replace(current, before=installed.before, goes_back=True)
        self._memory.write(current)
        return await WayBack(self._tools, entry, release, self._stored(installed.back_to, entry)).go(
            current, Verdict(state=TaskState.SUCCEEDED)
        )

    def _stored(self, sha256: str, entry: Entry) -> Release | None:
        payload = self._depot.payload(sha256) if sha256 else None
        return self._tools.release(parse(payload), entry) if payload else None

    # ------------------------------------------------------------ what an earlier process has left

    def left_over(self) -> LeftOver | None:
        """The last one that was begun, if any was."""
        self._memory.settle()
        current = self._memory.current()
        return LeftOver(current.task_id, current.stage is Stage.OVER) if current else None

    async def go_on(self, entry: Entry, task: Task | None) -> Ending | None:
        """Go on with what is left; how its task ends, None if the next process has to go on. ``task`` is not known
        where the journal has lost it, or has it as ended."""
        async with self._turn:
            if task:
                entry.spool = self._tools.store.spool(task)
                entry.spool.holds = False
                return await self._resume(entry)
            return await self._resume_alone(entry)

    async def _end_unfinished(self) -> None:
        """What an earlier task of this process has left, which only a bug can do."""
        current = self._memory.current()
        if current and current.stage is not Stage.OVER:
            await self._resume_alone(Entry(current.task_id, NOTHING, TaskState.RUNNING, clock()))

    async def _resume_alone(self, entry: Entry) -> Ending | None:
        """What its programs print is nobody's."""
        entry.spool, entry.unknown = Spool(self._tools.around.folder / "resumed.out", _ALONE_MAX_BYTES), True
        entry.spool.holds = False
        try:
            return await self._resume(entry)
        finally:
            entry.spool.remove()

    async def _resume(self, entry: Entry) -> Ending | None:
        current = self._memory.current()
        if current is None:
            return killed_without_trace()
        if current.ending:
            return ending_of(current.ending)
        release = self._stored(current.sha256, entry)
        if release is None:
            self._tools.log.error("What a release was to do is not on the disk any more; it cannot be undone")
            verdict = killed("The release is not on this machine any more.", Outcome.REVERT_FAILED)
            self._memory.write(replace(current, stage=Stage.REVERTING))
            self._memory.write(replace(current, stage=Stage.OVER, ending=verdict))
            return ending_of(verdict)
        if release.manifest.kind is KindName.AGENT:
            return await self._agent_update(entry, current.sha256, release.manifest).resume(current)
        timer = Timer(entry, release.manifest.timeout_s)
        before = self._stored(current.back_to, entry)
        self._tools.log.info("Going on with a release", release=current.name, stage=current.stage)
        try:
            undertaking = Undertaking(self._tools, entry, current, release, before, timer)
            return await undertaking.resume(was_rebooted=current.boot != boot())
        finally:
            timer.stop()
            await self._tidy()

    async def _tidy(self) -> None:
        """Keep what an installed release, the one it would give way to, and what is under way refer to."""
        current = self._memory.current()
        if current is None:
            payloads = set[str]()
        elif current.stage is not Stage.OVER:
            payloads = {current.sha256, current.back_to}
        else:
            payloads = set[str]()
        for installed in self._memory.all_installed():
            payloads |= {installed.sha256, installed.back_to}
        artifacts: set[str] = set()
        for payload in filter(None, map(self._depot.payload, payloads - {""})):
            artifacts |= {one.sha256 for one in parse(payload).artifacts}
        await self._tools.store.in_thread(self._depot.tidy, payloads, artifacts)


def killed_without_trace() -> Ending:
    """Of a release of which nothing was begun."""
    message = "The agent was killed before it changed anything."
    return untouched(TaskState.INTERRUPTED, TaskCode.AGENT_KILLED, message)


def _before_start(entry: Entry) -> Ending:
    ending = entry.control.ending or Ending(TaskState.EXPIRED)
    return untouched(ending.state, ending.code, ending.message)


def _order(task: Task) -> ReleaseOrder:
    if task.release is None:
        raise AssertionError("a task without a release")
    return task.release


def _begun(entry: Entry, action: Action, sha256: str, release: Release, back_to: str) -> Current:
    return Current(
        task_id=entry.task_id,
        action=action,
        sha256=sha256,
        stage=Stage.PREPARING,
        name=release.manifest.name,
        back_to=back_to,
    )
