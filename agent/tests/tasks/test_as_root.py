"""What only root can try: to become somebody else, and to mount a disk that fills."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployx_protocol.tasks import TaskState
from tests.support.agent_process import StartAgent
from tests.support.small_disk import MountedDisk, mounted
from tests.support.task_peer import Ready, TaskPeer

MIB = 1 << 20


@pytest.fixture
def small_disk() -> Iterator[MountedDisk]:
    """A disk with 32 MiB, all of it the agent's."""
    with mounted(32) as disk:
        disk.folder.chmod(0o700)
        yield disk


async def test_fault_06_a_full_disk_refuses_before_it_starts(
    peer: TaskPeer, start_agent: StartAgent, small_disk: MountedDisk, tmp_path: Path
) -> None:
    agent = await start_agent(server_url=peer.origin, folder=small_disk.folder)
    await agent.logged("Agent ready")
    line = f"echo ran >> {tmp_path}/marker"
    large = await peer.do(shell=line, output_quota_bytes=64 * MIB)
    assert (large.state, large.code) == (TaskState.FAILED, "disk_full")
    assert "make room there, or lower the output's quota" in large.message
    assert (await peer.do(shell=line, output_quota_bytes=MIB)).state is TaskState.SUCCEEDED

    small_disk.fill()
    full = await peer.do(shell=line, output_quota_bytes=MIB)
    assert (full.state, full.code) == (TaskState.FAILED, "disk_full")
    assert (tmp_path / "marker").read_text() == "ran\n"
    small_disk.empty()
    assert (await peer.do(shell=line, output_quota_bytes=MIB)).state is TaskState.SUCCEEDED


async def test_fault_06_a_disk_that_fills_while_a_task_runs_loses_output_and_not_the_end(
    peer: TaskPeer, start_agent: StartAgent, small_disk: MountedDisk, tmp_path: Path
) -> None:
    agent = await start_agent(server_url=peer.origin, folder=small_disk.folder)
    await agent.logged("Agent ready")
    go = tmp_path / "go"
    line = f"echo before; until test -e {go}; do sleep 0.02; done; head -c 3000000 /dev/zero; echo after >&2"
    task = peer.task(shell=line, output_quota_bytes=8 * MIB)
    await peer.assign(task)
    await peer.told(lambda: peer.printed(task.task_id))
    small_disk.fill()
    go.touch()
    await agent.logged("The end of a task cannot be journalled")
    small_disk.empty()
    end = await peer.ended(task.task_id)
    assert (end.state, end.exit_code) == (TaskState.SUCCEEDED, 0)
    assert end.lost_bytes > 0
    assert end.stdout_bytes + end.stderr_bytes + end.lost_bytes == 3_000_000 + len("before\nafter\n")
    assert end.digest == peer.digest(task.task_id)


async def test_another_user(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    end = await peer.do(shell="id -un; id -G; echo $HOME; umask", run_as="nobody")
    name, groups, home, mask = peer.printed(end.task_id).decode().splitlines()
    assert (name, mask) == ("nobody", "0022")
    assert "0" not in groups.split()
    assert home == "/nonexistent"
    script = await peer.do(script=peer.script(b"id -un; cat $0 | wc -c", "sh"), run_as="nobody")
    assert peer.printed(script.task_id).split() == [b"nobody", b"22"]
