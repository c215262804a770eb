"""Real agents with a policy, and a server in the hands of a thief: it has every key that a server has, and no other."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployx_protocol.dsse import Envelope
from deployx_protocol.policy import report_of
from deployx_protocol.task_messages import Task, TaskUpdate
from deployx_protocol.tasks import TaskState
from tests.support.agent_process import AgentProcess, StartAgent
from tests.support.operators import Operator, moment, payload_of, sealed, signed, write_policy
from tests.support.task_peer import TaskPeer

ADA, BOB, EVE = Operator("ada"), Operator("bob"), Operator("eve")


class Thief:
    """Speaks for the server to one agent."""

    def __init__(self, peer: TaskPeer, folder: Path) -> None:
        self.peer = peer
        self.marker = folder / "ran"
        self.refused: list[TaskUpdate] = []

    @property
    def here(self) -> dict[str, str]:
        said = self.peer.registrations()[-1]
        return {said.public_key: said.hostname}

    def task(self, **changes: Any) -> Task:
        fields = {"argv": ["/bin/sh", "-c", f"echo x >> {self.marker}"], **changes}
        return self.peer.task(**fields)

    async def send(self, task: Task, envelope: Envelope | None = None) -> TaskUpdate:
        task = msgspec.structs.replace(task, envelope=envelope)
        await self.peer.assign(task)
        return await self.peer.ended(task.task_id)

    async def refuse(self, code: str, task: Task, envelope: Envelope | None = None) -> TaskUpdate:
        end = await self.send(task, envelope)
        assert (end.state, end.code) == (TaskState.FAILED, code), end
        self.refused.append(end)
        return end

    def runs(self) -> int:
        return self.marker.read_text().count("x") if self.marker.exists() else 0


@pytest.fixture
async def peer(state_dir: Path) -> Any:
    async with TaskPeer.running(state_dir) as peer:
        yield peer


@pytest.fixture
def thief(peer: TaskPeer, tmp_path: Path) -> Thief:
    return Thief(peer, tmp_path)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    return folder / "policy.toml"


async def ready(start_agent: StartAgent, peer: TaskPeer, policy: Path, **settings: Any) -> AgentProcess:
    agent = await start_agent(server_url=peer.origin, policy=policy, **settings)
    await agent.logged("Agent ready - Listening for commands")
    return agent


async def test_threat_03_the_thief_of_a_server_runs_nothing(
    thief: Thief, policy: Path, start_agent: StartAgent
) -> None:
    write_policy(policy, 'runs = "signed"', "threshold = 2", ADA.table(), BOB.table())
    agent = await ready(start_agent, thief.peer, policy)
    work, signers = thief.task(), (ADA, BOB)
    payload = payload_of(work, thief.here)
    good = signed(payload, *signers)

    await thief.refuse("policy_unsigned", thief.task())
    await thief.refuse("policy_signature", thief.task(timeout_s=61), good)  # altered
    await thief.refuse("policy_signature", thief.task(env={"LD_PRELOAD": "/tmp/x.so"}), good)
    elsewhere = payload_of(work, {"22" * 32: "web-2"})
    await thief.refuse("policy_signature", thief.task(), signed(elsewhere, *signers))  # sent to another machine
    past = {"issued_at": moment(datetime.now(UTC) - timedelta(hours=2)), "number": "0" * 32}
    past["expires_at"] = moment(datetime.now(UTC) - timedelta(hours=1))
    await thief.refuse("policy_signature", thief.task(), signed(payload | past, *signers))  # kept back
    await thief.refuse("policy_signature", thief.task(), signed(payload, ADA))  # one of two
    await thief.refuse("policy_signature", thief.task(), signed(payload, ADA, ADA))
    await thief.refuse("policy_signature", thief.task(), signed(payload, ADA, EVE))  # a key of the thief's
    renamed = msgspec.structs.replace(good, signatures=[
        msgspec.structs.replace(EVE.sign(good.body()), keyid=one.key_id) for one in signers
    ])  # fmt: skip
    await thief.refuse("policy_signature", thief.task(), renamed)
    release = sealed(good.body(), signers, "application/vnd.deployx.release.v1+json")
    await thief.refuse("policy_signature", thief.task(), release)
    assert thief.runs() == 0

    assert (await thief.send(work, good)).state is TaskState.SUCCEEDED
    assert thief.runs() == 1
    for _ in range(3):
        end = await thief.refuse("policy_signature", thief.task(), good)  # replayed
    assert "good for once" in end.message
    assert thief.runs() == 1
    await agent.logged("Task refused by the policy of this machine", len(thief.refused))


async def test_threat_03_a_signed_run_is_done_once_whatever_becomes_of_the_agent(
    thief: Thief, policy: Path, start_agent: StartAgent, state_dir: Path
) -> None:
    write_policy(policy, 'runs = "signed"', ADA.table())
    agent = await ready(start_agent, thief.peer, policy)
    task = thief.task()
    envelope = signed(payload_of(task, thief.here), ADA)
    twins = [msgspec.structs.replace(one, envelope=envelope) for one in (task, thief.task())]
    await thief.peer.assign(*twins)  # in one message
    ends = [await thief.peer.ended(one.task_id) for one in twins]
    assert [end.state for end in ends] == [TaskState.SUCCEEDED, TaskState.FAILED]
    await agent.end(signal.SIGKILL)
    agent = await ready(start_agent, thief.peer, policy)
    await thief.refuse("policy_signature", thief.task(), envelope)
    await agent.end(signal.SIGTERM)
    for path in (state_dir / "tasks").glob("journal.db*"):
        path.unlink()
    await ready(start_agent, thief.peer, policy)
    end = await thief.refuse("policy_signature", thief.task(), envelope)
    assert "the memory of tasks here begins" in end.message
    assert thief.runs() == 1
    later = thief.task()
    assert (await thief.send(later, signed(payload_of(later, thief.here), ADA))).state is TaskState.SUCCEEDED


async def test_a_policy_holds_at_once_and_also_for_what_waits(
    thief: Thief, policy: Path, start_agent: StartAgent
) -> None:
    write_policy(policy, "")
    peer = thief.peer
    await ready(start_agent, peer, policy, tasks_parallel=1)
    running, waiting = peer.task("sleep", "60"), thief.task()
    await peer.assign(running, waiting)
    await peer.reported(running.task_id, TaskState.RUNNING)
    await peer.reported(waiting.task_id, TaskState.ACCEPTED)
    (policy.parent / "stop").touch()
    assert "is stopped by the file" in (await thief.refuse("policy_stop", thief.task())).message
    await peer.cancel(running.task_id)
    assert (await peer.ended(waiting.task_id)).code == "policy_stop"
    (policy.parent / "stop").unlink()
    write_policy(policy, "shell = false", "commands = false", 'users = ["nobody"]')
    await thief.refuse("policy_forbids", thief.task())
    await thief.refuse("policy_forbids", peer.task(shell="id"))
    write_policy(policy, "stop = true")
    await thief.refuse("policy_stop", thief.task())
    policy.write_text("stop = maybe")
    assert "Nothing is run until somebody mends it" in (await thief.refuse("policy_unusable", thief.task())).message
    policy.chmod(0o666)
    await thief.refuse("policy_unusable", thief.task())
    assert thief.runs() == 0
    write_policy(policy, "")
    assert (await thief.send(thief.task())).state is TaskState.SUCCEEDED


async def test_the_server_is_told_of_the_policy_and_of_its_changes(
    thief: Thief, policy: Path, start_agent: StartAgent
) -> None:
    peer = thief.peer
    peer.heartbeat_interval_s = 0.2
    write_policy(policy, 'runs = "signed"', ADA.table())
    agent = await ready(start_agent, peer, policy)
    assert "Policy of this machine: runs and releases signed by 1 of 1" in agent.log
    said = peer.registrations()[-1]
    report = report_of(said.policy)
    assert report and report.file == str(policy) and report.rules and report.rules.operator[0].key == ADA.public_key
    assert said.facts["policy"] == "runs and releases signed by 1 of 1"
    policy.write_text("nonsense = 1")
    await agent.logged("Agent ready - Listening for commands", 2)
    said = peer.registrations()[-1]
    assert said.facts["policy"].startswith("unusable, nothing runs: ")
    report = report_of(said.policy)
    assert report and "unknown field `nonsense`" in report.error
    await thief.refuse("policy_unusable", thief.task())
