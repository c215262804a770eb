"""Puts back what was there before a release, whatever of it was done; also for an agent that finds it half done.

Invariants: it may be begun any number of times, and ends with what was there before or says that it does not; it asks
nobody, neither server nor repository. It is not called off, and has no time-out but those of its steps.
"""

import asyncio

import msgspec

from deployx_agent.releases.failure import Called, Failure
from deployx_agent.releases.looking import Release
from deployx_agent.releases.memory import Current, Installed, Verdict
from deployx_agent.releases.stages import Stage
from deployx_agent.releases.tools import Tools, Undoing, ending_of
from deployx_agent.tasks.entry import Entry
from deployx_agent.tasks.runner import Ending
from deployx_protocol.releases import Kind as KindName
from deployx_protocol.releases import Outcome, Phase
from deployx_protocol.tasks import TaskCode, TaskState

_RETRY_S = 5.0


class WayBack:
    """From ``release`` to what was there before, which may be a release too."""

    def __init__(self, tools: Tools, entry: Entry, release: Release, before: Release | None) -> None:
        self._tools = tools
        self._entry = entry
        self._release = release
        self._before = before

    async def go(self, current: Current, why: Verdict) -> Ending | None:
        """Undo what ``current`` has begun. ``why``: how the task ends if that succeeds; its outcome is said here. None
        if the agent is to stop meanwhile: the next one goes on."""
        self._entry.control = Undoing()
        current = await written(self._tools, msgspec.structs.replace(current, stage=Stage.REVERTING, why=why))
        self._tools.say(self._entry, Phase.REVERTING)
        self._tools.log.warning("A release is undone", release=current.name, why=why.message or why.state)
        try:
            if problem := await self._all_of_it(current):
                verdict = failed(why, problem)
            else:
                verdict = msgspec.structs.replace(why, outcome=Outcome.REVERTED)
                await self._remember(current)
        except Called:
            return None
        await written(self._tools, msgspec.structs.replace(current, stage=Stage.OVER, ending=verdict))
        return ending_of(verdict)

    async def _all_of_it(self, current: Current) -> str:
        """Every part, also when one before it fails; what did not work, empty if all did. Raises Called."""
        problems: list[str] = []
        before, release = self._before, self._release
        is_script = release.manifest.kind is KindName.SCRIPT
        try:
            if before is None and not await release.step("uninstall") and is_script:
                raise Failure(TaskCode.RELEASE_FAILED, "it names neither `previous` nor `uninstall`")
        except Failure as why:
            problems.append(str(why))
        try:
            await release.kind.back(current.before or {})
        except Failure as why:
            problems.append(str(why))
        try:
            if before:
                await before.step("install")
        except Failure as why:
            problems.append(str(why))
        return " ".join(problems) or await self._doubt(current)

    async def _doubt(self, current: Current) -> str:
        """Why what was there before is not, though everything was done for it; empty if it is. Raises Called."""
        try:
            if not await self._release.kind.is_back(current.before or {}):
                return "What was there before is not there"
            if self._before:
                version = self._before.manifest.version
                return "" if await self._before.is_there() else f"`detect` does not find {version}"
            if self._release.manifest.kind is KindName.SCRIPT and await self._release.is_there():
                return "`detect` still finds it"
        except Failure as why:
            return str(why)
        return ""

    async def _remember(self, current: Current) -> None:
        """What is installed is what it was; but for a revert that was asked for, and is its own commit."""
        if not current.goes_back:
            return
        installed = None
        if self._before:
            version = self._before.manifest.version
            installed = Installed(task_id=current.task_id, sha256=current.back_to, version=version)
        while True:
            try:
                self._tools.memory.commit(current.name, installed)
                return
            except OSError as error:
                self._tools.log.error("A release cannot be recorded; make room on the disk", error=error)
                await asyncio.sleep(_RETRY_S)


def failed(why: Verdict, problem: str) -> Verdict:
    """How the task ends when it could not be undone: somebody has to look."""
    state = TaskState.FAILED if why.state is TaskState.SUCCEEDED else why.state
    said = f"{why.message} " if why.message else ""
    return Verdict(
        state=state,
        code=why.code or TaskCode.RELEASE_FAILED,
        message=f"{said}It could not be undone: {problem.rstrip('.')}.",
        outcome=Outcome.REVERT_FAILED,
    )


async def written(tools: Tools, current: Current) -> Current:
    """``current``, once it is on the disk, however long that takes to have room: something was changed by now."""
    while True:
        try:
            tools.memory.write(current)
            return current
        except OSError as error:
            tools.log.error("A release cannot be recorded; make room on the disk", error=error)
            await asyncio.sleep(_RETRY_S)
