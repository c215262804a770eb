"""Looks at a machine: is a release there, is it healthy; and lays out the folder in which its steps run."""

import re
from pathlib import Path

from deployx_agent.releases.depot import Depot
from deployx_agent.releases.failure import Failure
from deployx_agent.releases.kind import Kind, Site, kind_of
from deployx_agent.releases.programs import Programs, succeeded
from deployx_agent.tasks.entry import clock
from deployx_protocol.releases import Artifact, Health, Manifest, Step
from deployx_protocol.releases import Kind as KindName
from deployx_protocol.tasks import TaskCode, TaskState


class Release:
    """A release as this machine sees it, for the task ``task_id``."""

    def __init__(self, manifest: Manifest, task_id: str, folder: Path, depot: Depot, programs: Programs) -> None:
        self.manifest = manifest
        self.kind: Kind = kind_of(Site(manifest, task_id, folder, depot, programs))
        self._depot = depot
        self.programs = programs
        self._laid_out: dict[bool, Path] = {}

    # ------------------------------------------------------------ what it needs

    def artifacts(self, *, to_go_back: bool) -> list[Artifact]:
        """Those that have to be here before it is installed; or, since its archive or file was kept as it is on the
        machine, before another one is installed over it."""
        manifest = self.manifest
        if not to_go_back or manifest.kind is KindName.SCRIPT:
            return list(manifest.artifacts)
        if not manifest.steps():
            return []
        kept = {part.artifact for part in (manifest.archive, manifest.file) if part}
        used = {name for step in manifest.steps().values() for name in _named(step, manifest)}
        return [one for one in manifest.artifacts if one.name not in kept - used]

    def artifacts_of_detect(self) -> list[Artifact]:
        """Those that its `detect` names; often none, so that what is there already need not be fetched to be found."""
        names = _named(self.manifest.detect, self.manifest) if self.manifest.detect else set()
        return [one for one in self.manifest.artifacts if one.name in names]

    async def _folder(self, *, for_detect: bool = False) -> Path:
        """Where its steps run. Raises Failure."""
        if False in self._laid_out or (for_detect and True in self._laid_out):
            return self._laid_out.get(False) or self._laid_out[True]
        wanted = self.artifacts_of_detect() if for_detect else self.artifacts(to_go_back=True)
        folder = await self._depot.work_folder(self.manifest, {one.name for one in wanted})
        self._laid_out[for_detect] = folder
        return folder

    # ------------------------------------------------------------ steps

    async def is_there(self) -> bool:
        """Whether this version is on the machine. Raises Called, Failure."""
        if not await self.kind.look():
            return False
        detect = self.manifest.detect
        if detect is None:
            return True
        try:
            ending = await self.programs.step(detect, await self._folder(for_detect=True), "detect")
        except Failure as why:
            if why.code is TaskCode.RELEASE_FAILED:  # it cannot even be started: before the install that may be so
                return False
            raise
        return ending.state is TaskState.SUCCEEDED

    async def step(self, name: str) -> bool:
        """Run the step of that name, which has to succeed; whether there is one. Raises Called, Failure."""
        step = self.manifest.steps().get(name)
        if step is None:
            return False
        folder = await self._folder()
        succeeded(await self.programs.step(step, folder, name), name)
        return True

    async def is_healthy(self) -> None:
        """Return when it is. Raises Called, Failure."""
        if self.manifest.health:
            await self._check(self.manifest.health, await self._folder())

    async def _check(self, health: Health, folder: Path) -> None:
        give_up, in_a_row = clock() + health.within_s, 0
        while (left_s := give_up - clock()) > 0:
            try:
                ending = await self.programs.step(health.check, folder, "health", left_s)
                in_a_row = in_a_row + 1 if ending.state is TaskState.SUCCEEDED else 0
            except Failure:
                in_a_row = 0
            if in_a_row >= health.successes:
                return
            await self.programs.pause(max(min(health.interval_s, give_up - clock()), 0.0))
        times = f" {health.successes} times in a row" if health.successes > 1 else ""
        said = f": {self.programs.said.splitlines()[-1]}" if self.programs.said else ""
        raise Failure(
            TaskCode.RELEASE_UNHEALTHY, f"`health` did not succeed{times} within {health.within_s:g} s{said[:200]}."
        )


def _named(step: Step, manifest: Manifest) -> set[str]:
    """The artifacts that a step names, in whatever way."""
    text = "\n".join([*(step.command or ()), step.shell or "", *step.args, *step.interpreter, *step.env.values()])
    words = set(re.findall(r"[A-Za-z0-9][A-Za-z0-9._+-]*", text))
    return {one.name for one in manifest.artifacts if one.name == step.artifact or one.name in words}
