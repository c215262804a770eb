"""The task that updates the agent: it begins in the version that runs, and ends in the one that runs then.

Nothing of the machine changes before the record of updates names a trial; from then on whoever runs next, the new
version or, after the watchdog, the old one, finds the task at `HANDING_OVER` and says what has become of it.
"""

import asyncio
import json
import subprocess
from dataclasses import asdict

import msgspec

from deployx_agent import VERSION
from deployx_agent.connection.background import in_thread
from deployx_agent.releases.acceptance import Acceptance
from deployx_agent.releases.countdown import boot
from deployx_agent.releases.failure import Called, Failure, unfit
from deployx_agent.releases.memory import Current, Verdict, killed
from deployx_agent.releases.stages import Stage
from deployx_agent.releases.tools import Timer, Tools, Undoing, ending_of
from deployx_agent.releases.way_back import written
from deployx_agent.tasks.entry import Entry
from deployx_agent.tasks.runner import Ending
from deployx_agent.update import here
from deployx_agent.update.here import Start
from deployx_agent.update.prepare import UNTRUSTED, Wanted
from deployx_agent.update.record import Slot
from deployx_agent.update.runtime import Update
from deployx_protocol.releases import Action, AgentBundle, Artifact, Manifest, Outcome, Phase
from deployx_protocol.tasks import TaskCode, TaskState
from deployx_protocol.updates import BUNDLE_MAX_BYTES, METADATA_MAX_BYTES

_PREPARE_TIMEOUT_S = 600.0
_TELL_PATIENCE_S = 3.0


class AgentUpdate:
    """Of ``manifest``, whose payload has the hash ``sha256``, for the task of ``entry``."""

    def __init__(self, tools: Tools, acceptance: Acceptance, entry: Entry, sha256: str, manifest: Manifest) -> None:
        self._tools = tools
        self._acceptance = acceptance
        self._entry = entry
        self._sha256 = sha256
        self._manifest = manifest
        self._memory = tools.memory
        if not isinstance(manifest.agent, AgentBundle):
            raise AssertionError("an update of the agent without a bundle")
        self._bundle = manifest.agent

    # ------------------------------------------------------------ in the version that runs

    async def follow(self, action: Action, timer: Timer) -> Ending | None:
        """Do what is asked; None: the next process goes on. Raises Failure, Called, OSError."""
        update = self._update()
        if action is Action.REMOVE:
            raise unfit("An agent does not remove itself; use what has installed it.")
        wanted = self._bundle.version
        if action is Action.INSTALL:
            return self._already("runs already") if wanted == VERSION else await self._install(update, timer)
        return await self._revert(update, timer) if wanted == VERSION else self._already("does not run here")

    def _update(self) -> Update:
        update = self._tools.around.update
        if update is None or update.start is Start.ELSEWHERE:
            raise unfit(
                "This agent was not started by `deployx-agent run`, which alone can start another version of it."
            )
        return update

    def _already(self, why: str) -> Ending:
        message = f"Version {self._bundle.version} of the agent {why}; nothing was done."
        return Ending(TaskState.SUCCEEDED, message=message, outcome=Outcome.ALREADY)

    async def _install(self, update: Update, timer: Timer) -> Ending | None:
        bundle, metadata = self._artifacts()
        await self._acceptance.gather(self._entry, [self._tools.release(self._manifest, self._entry)])
        self._memory.write(self._begun(Action.INSTALL))
        self._tools.say(self._entry, Phase.INSTALLING)
        depot = self._tools.depot
        wanted = Wanted(
            str(update.folder),
            str(update.root),
            str(depot.artifact(metadata)),
            self._bundle.version,
            bundle=str(depot.artifact(bundle)),
            highest=update.record().highest,
        )
        number = await self._prepared(wanted)
        self._memory.take(self._manifest.name, self._manifest.number)
        to = await in_thread(lambda: update.place(self._bundle.version, number), "place")
        return await self._hand_over(update, Action.INSTALL, to, timer)

    async def _revert(self, update: Update, timer: Timer) -> Ending | None:
        """To the version before, if it may still run: the server's word is not enough for an older one."""
        before = update.record().back
        if before is None:
            raise unfit(f"Nothing is kept of what ran here before version {VERSION}.")
        _, metadata = self._artifacts()
        await self._tools.depot.fetch([metadata], 0, self._acceptance.fetched(self._entry))
        self._memory.write(self._begun(Action.REVERT))
        path = str(self._tools.depot.artifact(metadata))
        await self._prepared(Wanted(str(update.folder), str(update.root), path, before.version))
        return await self._hand_over(update, Action.REVERT, before, timer)

    def _artifacts(self) -> tuple[Artifact, Artifact]:
        by_name = {one.name: one for one in self._manifest.artifacts}
        bundle, metadata = by_name[self._bundle.bundle], by_name[self._bundle.metadata]
        if bundle.size > BUNDLE_MAX_BYTES or metadata.size > METADATA_MAX_BYTES:
            raise unfit("The bundle, or its metadata, is larger than any that an agent takes.")
        return bundle, metadata

    async def _prepared(self, wanted: Wanted) -> int:
        """The number of what is asked for, once its slot is ready. Raises Failure, Called."""
        asked = json.dumps(asdict(wanted)).encode()
        command = here.module("deployx_agent.update.prepare")

        def ask() -> "subprocess.CompletedProcess[bytes]":
            return subprocess.run(  # noqa: S603 - this program
                command, check=False, input=asked, capture_output=True, timeout=_PREPARE_TIMEOUT_S
            )

        try:
            done = await in_thread(ask, "prepare")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise unfit(f"The slot for version {wanted.version} cannot be made ready ({error}).") from None
        if self._entry.control.ending:
            raise Called(self._entry.control.ending)
        if done.returncode:
            said = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            code = TaskCode.RELEASE_UNTRUSTED if done.returncode == UNTRUSTED else TaskCode.RELEASE_UNFIT
            raise Failure(code, said)
        number: int = json.loads(done.stdout)["number"]
        return number

    async def _hand_over(self, update: Update, action: Action, to: Slot, timer: Timer) -> Ending | None:
        """From the record of the trial on, nobody can call it off; the next process says what becomes of it."""
        timer.stop()
        if self._entry.control.ending:
            raise Called(self._entry.control.ending)
        self._entry.control = Undoing()
        current = await written(self._tools, self._begun(action, Stage.HANDING_OVER))
        self._tools.say(self._entry, Phase.CONFIRMING)
        try:
            update.begin(self._entry.task_id, to)
        except OSError as error:
            said = f"The update cannot be recorded ({error.strerror}); make room on the agent's disk."
            verdict = Verdict(state=TaskState.FAILED, code=TaskCode.DISK_FULL, message=said, outcome=Outcome.UNTOUCHED)
            return await self._over(current, verdict)
        self._tools.log.info("Giving way to another version", version=to.version, slot=to.slot)
        for _ in range(int(_TELL_PATIENCE_S * 10)):
            if not self._entry.phase_untold:
                break
            await asyncio.sleep(0.1)
        update.give_way()
        await self._entry.control.said
        return None

    def _begun(self, action: Action, stage: Stage = Stage.PREPARING) -> Current:
        name, task_id = self._manifest.name, self._entry.task_id
        return Current(task_id=task_id, action=action, sha256=self._sha256, stage=stage, name=name, boot=boot())

    # ------------------------------------------------------------ in the version that runs then

    async def resume(self, current: Current) -> Ending | None:
        """What has become of it; None if the agent is to stop before that is known."""
        update = self._tools.around.update
        if update is None or current.stage is not Stage.HANDING_OVER:
            untouched = killed("The agent was killed before it changed anything.", Outcome.UNTOUCHED)
            return await self._over(current, untouched)
        found = update.record()
        if found.trial and found.trial.task_id == current.task_id:
            if update.on_trial:
                return await self._register(update, current)
            reason = f"Version {VERSION} was started by hand before {found.trial.to.version} could be tried."
            update.abandon(TaskCode.RELEASE_UNFIT, reason)
            found = update.record()
        if found.confirmed == current.task_id:
            return await self._stays(current)
        if found.failed and found.failed.task_id == current.task_id:
            is_back = Outcome.REVERT_FAILED if current.action is Action.REVERT else Outcome.REVERTED
            code, message = found.failed.code, found.failed.reason
            return await self._over(
                current, Verdict(state=TaskState.FAILED, code=code, message=message, outcome=is_back)
            )
        return await self._over(
            current, killed("The agent was killed before the other version was tried.", Outcome.UNTOUCHED)
        )

    async def _register(self, update: Update, current: Current) -> Ending | None:
        self._entry.control = Undoing()
        self._tools.say(self._entry, Phase.CONFIRMING)
        registered = asyncio.ensure_future(update.confirmed())
        await asyncio.wait((registered, self._entry.control.said), return_when=asyncio.FIRST_COMPLETED)
        if not registered.done():
            registered.cancel()
            await asyncio.gather(registered, return_exceptions=True)
            return None
        return await self._stays(current)

    async def _stays(self, current: Current) -> Ending | None:
        """The record of updates is the commit. What was fetched is needed no more."""
        outcome = Outcome.REVERTED if current.action is Action.REVERT else Outcome.INSTALLED
        return await self._over(current, Verdict(state=TaskState.SUCCEEDED, outcome=outcome))

    async def _over(self, current: Current, verdict: Verdict) -> Ending:
        await written(self._tools, msgspec.structs.replace(current, stage=Stage.OVER, ending=verdict))
        return ending_of(verdict)
