"""One release from the change of the machine to its commit, or back; also where an earlier agent was killed on the way.

Invariants: each stage is on the disk before what it stands for begins. The commit is the only thing that lets a release
stay: whatever ends before it is undone, by this process or the next, and its task says so.
"""

import asyncio

import msgspec

from deployx_agent.releases import confirm, reboot
from deployx_agent.releases.countdown import Countdown, boot
from deployx_agent.releases.failure import Called, Failure
from deployx_agent.releases.looking import Release
from deployx_agent.releases.memory import Current, Installed, Verdict, killed
from deployx_agent.releases.stages import Course, Stage, course
from deployx_agent.releases.tools import Timer, Tools, ending_of
from deployx_agent.releases.way_back import WayBack, written
from deployx_agent.tasks.entry import Entry
from deployx_agent.tasks.runner import Ending
from deployx_protocol.releases import Action, Outcome, Phase, Reboot, parse
from deployx_protocol.tasks import TaskCode, TaskState

REBOOTS_MAX = 3
"""So often the machine is asked to restart for one release."""
REBOOT_PATIENCE_S = 600.0
_TELL_PATIENCE_S = 3.0
_CONFIRM_EVERY_S = 5.0
_STOPPED = "The agent was stopped in the middle; it puts back what was there before when it starts again."


class Undertaking:
    """``release`` on the way in or, to remove it, out; ``before`` is the release to go back to, if there is one."""

    def __init__(
        self, tools: Tools, entry: Entry, current: Current, release: Release, before: Release | None, timer: Timer
    ) -> None:
        self._tools = tools
        self._entry = entry
        self._current = current
        self._release = release
        self._before = before
        self._timer = timer

    # ------------------------------------------------------------ forward

    async def change(self) -> Ending | None:
        """Everything that going back needs is on the disk: do it. None if the next process has to go on."""
        return await self._whatever_comes(self._change)

    async def resume(self, *, was_rebooted: bool) -> Ending | None:
        """Go on where an earlier process was ended."""
        installed = self._tools.memory.installed(self._current.name)
        committed = self._is_committed(installed)
        match course(self._current.stage, committed=committed, rebooted=was_rebooted):
            case Course.COMMITTED:
                self._forget(installed.superseded if installed else None)
                return await self._over(self._success)
            case Course.CHECK:
                return await self._whatever_comes(self._settle)
            case Course.REBOOT:
                return await self._whatever_comes(self._reboot)
            case Course.CONFIRM:
                return await self._whatever_comes(self._confirm)
            case Course.CLEAN:
                self._release.kind.clean()
                return await self._over(killed("The agent was killed before it changed anything.", Outcome.UNTOUCHED))
            case Course.UNDO:
                why = self._current.why or killed(
                    "The agent or its machine went down in the middle; what was there before was put back.",
                    Outcome.NONE,
                )
                return await self._back(why)
        return ending_of(self._current.ending or killed("", Outcome.NONE))

    def _is_committed(self, installed: Installed | None) -> bool:
        """A removal has its commit in the record of what is under way, see ``_commit``."""
        return installed is not None and installed.task_id == self._current.task_id

    async def _whatever_comes(self, way: object) -> Ending | None:
        try:
            return await way()  # type: ignore[operator, no-any-return]
        except Failure as why:
            return await self._back(Verdict(state=TaskState.FAILED, code=why.code, message=str(why)))
        except Called as word:
            ending = word.ending
            if ending.state is TaskState.INTERRUPTED:
                goes_on = self._current.stage in (Stage.REBOOTING, Stage.CONFIRMING)
                return None if goes_on else Ending(TaskState.INTERRUPTED, TaskCode.AGENT_STOPPED, _STOPPED)
            return await self._back(Verdict(state=ending.state, code=ending.code, message=ending.message))
        finally:
            self._timer.stop()

    async def _change(self) -> Ending | None:
        await self._note(Stage.CHANGING)
        self._tools.say(self._entry, Phase.INSTALLING)
        kind, before = self._release.kind, self._current.before or {}
        if self._current.action is Action.REMOVE:
            await self._release.step("uninstall")
            await kind.take_away(before)
            return await self._settle()
        await kind.put(before)
        await self._release.step("install")
        wish = self._release.manifest.reboot
        if wish is Reboot.ALWAYS or (wish is Reboot.IF_NEEDED and await reboot.is_needed(self._release.programs)):
            return await self._reboot()
        return await self._settle()

    async def _reboot(self) -> Ending | None:
        if self._current.reboots >= REBOOTS_MAX:
            raise Failure(
                TaskCode.RELEASE_FAILED, f"The machine was asked to restart {REBOOTS_MAX} times, and did not."
            )
        await self._note(Stage.REBOOTING, reboots=self._current.reboots + 1)
        self._tools.say(self._entry, Phase.REBOOTING)
        await self._told()
        await self._release.programs.must(self._tools.around.reboot_command or reboot.command(), "restart the machine")
        await self._release.programs.pause(REBOOT_PATIENCE_S)
        raise Failure(TaskCode.RELEASE_FAILED, f"The machine did not restart within {REBOOT_PATIENCE_S:g} s.")

    async def _told(self) -> None:
        """Give the server a moment to hear of it: nobody likes a machine that goes without a word."""
        for _ in range(int(_TELL_PATIENCE_S * 10)):
            if not self._entry.phase_untold:
                return
            await asyncio.sleep(0.1)

    async def _settle(self) -> Ending | None:
        """It is done: is it there, and does it work."""
        await self._note(Stage.CHECKING)
        self._tools.say(self._entry, Phase.DETECTING)
        removing = self._current.action is Action.REMOVE
        if await self._release.is_there() is removing:
            raise Failure(
                TaskCode.RELEASE_FAILED,
                "`detect` still finds it." if removing else "`detect` does not find it after the install.",
            )
        if not removing:
            if self._release.manifest.health:
                self._tools.say(self._entry, Phase.CHECKING)
                await self._release.is_healthy()
            if self._release.manifest.confirm_s:
                return await self._confirm()
        return await self._commit()

    async def _confirm(self) -> Ending | None:
        """Commit once a server is reached; the time for that goes on when the agent or the machine starts anew."""
        self._timer.stop()
        confirm_s = self._release.manifest.confirm_s or 0.0
        stored = self._current.countdown
        countdown = Countdown.read(stored) if stored else Countdown.of(confirm_s)
        self._tools.say(self._entry, Phase.CONFIRMING)
        addresses = [self._tools.around.origin, *self._current.origins]
        named = addresses[0] if len(addresses) == 1 else f"None of {', '.join(addresses)}"
        could_not = f"{named} could {'not ' if len(addresses) == 1 else ''}be reached"
        while True:
            await self._note(Stage.CONFIRMING, countdown=countdown.stored())
            why = await confirm.none_reached(addresses, self._tools.around.ca_file, max(countdown.left(), 0.1))
            if not why:
                return await self._commit()
            if not (left_s := countdown.left()):
                raise Failure(
                    TaskCode.RELEASE_UNCONFIRMED,
                    f"{could_not} within {confirm_s:g} s after the release was healthy ({why.rstrip('.')}).",
                )
            self._release.programs.say(f"{could_not} ({why}); {left_s:.0f} s are left")
            await self._release.programs.pause(min(_CONFIRM_EVERY_S, left_s))

    # ------------------------------------------------------------ its end

    @property
    def _success(self) -> Verdict:
        outcomes = {Action.INSTALL: Outcome.INSTALLED, Action.REMOVE: Outcome.REMOVED, Action.REVERT: Outcome.REVERTED}
        return Verdict(state=TaskState.SUCCEEDED, outcome=outcomes[self._current.action])

    async def _commit(self) -> Ending | None:
        current = self._current
        earlier = self._tools.memory.installed(current.name)
        if current.action is Action.REMOVE:
            ending = await self._over(self._success)
            self._tools.memory.settle()
            self._release.kind.forget(current.before or {})
            self._forget(earlier)
            return ending
        installed = Installed(
            task_id=current.task_id,
            sha256=current.sha256,
            version=self._release.manifest.version,
            before=current.before,
            back_to=current.back_to,
            superseded=msgspec.structs.replace(earlier, superseded=None) if earlier else None,
        )
        try:
            self._tools.memory.commit(current.name, installed)
        except OSError as error:
            said = f"The release cannot be recorded ({error.strerror or error})."
            raise Failure(TaskCode.DISK_FULL, said) from None
        self._forget(earlier)
        return await self._over(self._success)

    def _forget(self, earlier: Installed | None) -> None:
        """What was kept for the release before this one is two releases old."""
        payload = self._tools.depot.payload(earlier.sha256) if earlier and earlier.before is not None else None
        if payload and earlier:
            self._tools.release(parse(payload), self._entry).kind.forget(earlier.before or {})

    async def _over(self, verdict: Verdict) -> Ending:
        self._current = await written(
            self._tools, msgspec.structs.replace(self._current, stage=Stage.OVER, ending=verdict)
        )
        return ending_of(verdict)

    async def _back(self, why: Verdict) -> Ending | None:
        return await WayBack(self._tools, self._entry, self._release, self._before).go(self._current, why)

    async def _note(self, stage: Stage, **more: object) -> None:
        """It has come that far. Raises Failure."""
        following = msgspec.structs.replace(self._current, stage=stage, boot=boot(), **more)
        try:
            self._tools.memory.write(following)
        except OSError as error:
            said = f"The release cannot be recorded ({error.strerror or error}); make room on the agent's disk."
            raise Failure(TaskCode.DISK_FULL, said) from None
        self._current = following
