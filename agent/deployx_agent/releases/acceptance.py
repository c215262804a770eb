"""Before a release is begun: whether this machine takes it, which one it would go back to, and that everything is here.

Invariant: hash, policy, number and platform are looked at in this order, and before any artifact is fetched.
"""

import asyncio
import platform
from collections.abc import Callable

from deployx_agent.facts.system import platform_name
from deployx_agent.releases.failure import Called, Failure, unfit
from deployx_agent.releases.looking import Release
from deployx_agent.releases.memory import Installed
from deployx_agent.releases.tools import Tools
from deployx_agent.tasks.entry import Entry
from deployx_protocol.policy import Refusal
from deployx_protocol.release_policy import older
from deployx_protocol.releases import Action, Manifest, Phase, parse
from deployx_protocol.task_messages import ReleaseOrder, Task


class Acceptance:
    """With ``tools``. What it does not take it raises as Failure; Called when the task is to end."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._memory = tools.memory
        self._depot = tools.depot

    async def accepted(self, entry: Entry, task: Task, order: ReleaseOrder) -> Manifest:
        """The manifest, if this machine takes it."""
        payload = await self._depot.fetch_payload(order.sha256, order.size, entry.control)
        if entry.control.ending:
            raise Called(entry.control.ending)
        guard = self._tools.around.guard
        if guard is None:
            manifest = parse(payload)
        else:
            verdict = guard.release_refusal(task, payload, None)
            if isinstance(verdict, Refusal):
                raise Failure(verdict.code, verdict.message)
            manifest = verdict.manifest
        named = self._memory.named(manifest.name)
        if refusal := older(manifest, named.highest if named else None):
            raise Failure(refusal.code, refusal.message)
        if not _is_for_this_machine(manifest):
            raise unfit(f"{manifest.name} {manifest.version} is for {', '.join(manifest.platforms)}, not this machine.")
        return manifest

    async def previous(
        self, entry: Entry, sha256: str, manifest: Manifest, installed: Installed | None
    ) -> tuple[str, Release | None]:
        """The release to go back to, and its payload's hash. Raises Failure, Called."""
        if installed:
            back_to = installed.back_to if installed.sha256 == sha256 else installed.sha256
            payload = self._depot.payload(back_to) if back_to else None
            if payload:
                return back_to, self._tools.release(parse(payload), entry)
        named = manifest.previous
        if named is None:
            return "", None
        payload = await self._depot.fetch_payload(named.sha256, named.size, entry.control)
        if entry.control.ending:
            raise Called(entry.control.ending)
        guard = self._tools.around.guard
        previous = guard.previous_refusal(manifest, payload) if guard else parse(payload)
        if isinstance(previous, Refusal):
            raise Failure(previous.code, previous.message)
        return named.sha256, self._tools.release(previous, entry)

    def taken_back(self, action: Action, manifest: Manifest, back_to: str) -> None:
        """It is taken back to the payload ``back_to``, or removed, at the server's word. Raises Failure."""
        guard = self._tools.around.guard
        refusal = guard.taken_back_refusal(action, manifest, back_to) if guard else None
        if refusal:
            raise Failure(refusal.code, refusal.message)

    async def gather(self, entry: Entry, releases: list[Release]) -> None:
        """Everything that these need, and room for what follows. Raises Failure, Called."""
        self._tools.say(entry, Phase.FETCHING, 0)
        first, *others = releases
        wanted = first.artifacts(to_go_back=False)
        wanted += [one for other in others for one in other.artifacts(to_go_back=True)]
        fetching = asyncio.ensure_future(self._depot.fetch(wanted, 0, self.fetched(entry)))
        await asyncio.wait((fetching, entry.control.said), return_when=asyncio.FIRST_COMPLETED)
        if not fetching.done():
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        if entry.control.ending:
            raise Called(entry.control.ending)
        fetching.result()

    def fetched(self, entry: Entry) -> Callable[[int, int], None]:
        """Says how much of it has come."""

        def say(have: int, total: int) -> None:
            self._tools.say(entry, Phase.FETCHING, min(have * 100 // total, 100) if total else 100)

        return say


def _is_for_this_machine(manifest: Manifest) -> bool:
    system = {"macos": "darwin"}.get(platform_name(), platform_name())
    return manifest.runs_on(system, platform.machine())
