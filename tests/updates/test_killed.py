"""kill -9 at every labelled point of an update, of the old version, the new one and the watchdog.

After each: the machine has one version or the other, the task is reported once and truly, and a new order leads to the
end that an undisturbed update has.
"""

import asyncio
import signal
from pathlib import Path

import pytest

from deployx_agent import VERSION
from deployx_protocol.releases import Outcome
from deployx_protocol.tasks import TaskState
from tests.support.agent_process import AgentProcess, environment
from tests.support.agent_updates import Publisher, offered
from tests.support.release_peer import ReleasePeer
from tests.support.update_points import NEW, OLD, dying

ROOT = str(Path(__file__).parents[2])
TRUE = {
    (TaskState.SUCCEEDED, Outcome.INSTALLED),
    (TaskState.FAILED, Outcome.REVERTED),
    (TaskState.INTERRUPTED, Outcome.UNTOUCHED),
}


class Supervised:
    """An agent that is started again whenever it ends, as a service is; the first time at ``label``."""

    def __init__(self, env: dict[str, str], label: str) -> None:
        self._env, self._label = env, label
        self.agents: list[AgentProcess] = []
        self.codes: list[int] = []
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Supervised":
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def _keep(self) -> None:
        while True:
            killed = self._label and not self.agents
            program = ("-m", "tests.support.update_points", self._label) if killed else ("-m", "deployx_agent")
            agent = await AgentProcess.start(self._env, "run", program=program)
            self.agents.append(agent)
            self.codes.append(await agent.end(within_s=600))

    async def __aexit__(self, *_: object) -> None:
        assert self._keeping
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        if self.agents:
            self.agents[-1].process.send_signal(signal.SIGTERM)
            await self.agents[-1].end()

    @property
    def log(self) -> str:
        return "\n-- started again --\n".join(agent.log for agent in self.agents)


async def follow_through(peer: ReleasePeer, publisher: Publisher, supervised: Supervised) -> None:
    files, bundle = publisher.files(), publisher.bundle("9.0.0")
    await peer.until("registration_ack")
    task = peer.release_task(offered(peer, "9.0.0", bundle, files))
    await peer.submit(task)
    end = await peer.ended(task.task_id)
    assert (end.state, end.outcome) in TRUE, supervised.log
    became = "9.0.0" if end.outcome is Outcome.INSTALLED else VERSION
    await peer.told(lambda: peer.registrations()[-1].agent_version == became)
    again = await peer.follow(offered(peer, "9.0.0", bundle, files, number=2))
    assert again.state is TaskState.SUCCEEDED, supervised.log
    assert peer.registrations()[-1].agent_version == "9.0.0"
    finals = {one.outcome for one in peer.updates if one.task_id == task.task_id and one.state in {s for s, _ in TRUE}}
    assert finals == {end.outcome}


def settings(peer: ReleasePeer, publisher: Publisher, state_dir: Path) -> dict[str, str]:
    given = {"reconnect_delay": 0.05, "update_root": publisher.root, "no_software": "1", "update_patience": 60}
    return environment(state_dir, server_url=peer.origin, **given) | {"PYTHONPATH": ROOT}


SAMPLE = "the trial is recorded"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "label", [pytest.param(label, marks=[] if label == SAMPLE else [pytest.mark.soak]) for label in OLD]
)
async def test_killed_while_it_gives_way(peer: ReleasePeer, publisher: Publisher, state_dir: Path, label: str) -> None:
    publisher.add("9.0.0")
    async with Supervised(settings(peer, publisher, state_dir), label) as supervised:
        await follow_through(peer, publisher, supervised)
        assert supervised.codes[0] == -signal.SIGKILL, f"{label} was not reached: {supervised.log}"


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("label", NEW)
async def test_killed_as_it_comes(
    peer: ReleasePeer, publisher: Publisher, state_dir: Path, tmp_path: Path, label: str
) -> None:
    marker = tmp_path / "killed"
    publisher.add("9.0.0", dying(label, str(marker)))
    async with Supervised(settings(peer, publisher, state_dir), "") as supervised:
        await follow_through(peer, publisher, supervised)
        assert marker.exists(), f"{label} was not reached: {supervised.log}"


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_the_watchdog_is_killed(peer: ReleasePeer, publisher: Publisher, state_dir: Path) -> None:
    publisher.add("9.0.0")
    async with Supervised(settings(peer, publisher, state_dir), "") as supervised:

        async def kill() -> None:
            while not supervised.agents:
                await asyncio.sleep(0.01)
            await supervised.agents[0].logged("Version 9.0.0 is started")
            supervised.agents[0].process.send_signal(signal.SIGKILL)

        killing = asyncio.create_task(kill())
        await follow_through(peer, publisher, supervised)
        await killing
        assert supervised.codes[0] == -signal.SIGKILL
