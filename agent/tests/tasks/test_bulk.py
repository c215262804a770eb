"""Much output and little room: the agent's memory and disk."""

import hashlib
import random

import pytest

from deployx_protocol.limits import OUTPUT_POST_MAX_BYTES, OUTPUT_PREVIEW_BYTES
from deployx_protocol.tasks import TaskState
from tests.support.memory import resident_mib
from tests.support.task_peer import Ready, TaskPeer

MIB = 1 << 20
PRINTS = "import os, random; r = random.Random(7)\nfor _ in range({mib} * 16): os.write(1, r.randbytes(65536))"


def expected(mib: int) -> str:
    dice, sha256 = random.Random(7), hashlib.sha256()
    for _ in range(mib * 16):
        sha256.update(dice.randbytes(65536))
    return hashlib.sha256(sha256.digest() + hashlib.sha256().digest()).hexdigest()


@pytest.mark.parametrize("mib", [30, pytest.param(100, marks=pytest.mark.soak)])
async def test_much_output_arrives_whole_in_little_memory(mib: int, peer: TaskPeer, ready: Ready) -> None:
    agent = await ready(forked=False)
    await peer.do("true")
    before = resident_mib(agent.process.pid)
    peer.posts_fail_with = [503]
    end = await peer.do("python3", "-c", PRINTS.format(mib=mib), output_quota_bytes=200 * MIB, timeout_s=100)
    assert (end.state, end.stdout_bytes, end.lost_bytes) == (TaskState.SUCCEEDED, mib * MIB, 0)
    assert end.digest == peer.digest(end.task_id) == expected(mib)
    assert resident_mib(agent.process.pid, peak=True) - before < 20
    assert max(peer.posts) <= OUTPUT_POST_MAX_BYTES
    assert sum(peer.posts[1:]) < (mib + 2) * MIB - OUTPUT_PREVIEW_BYTES, "the preview went over the link"


async def test_output_waits_for_the_next_registration_after_a_refused_token(peer: TaskPeer, ready: Ready) -> None:
    agent = await ready()
    peer.posts_fail_with = [401]
    task = peer.task(shell="head -c 2000000 /dev/zero", output_quota_bytes=10 * MIB)
    await peer.assign(task)
    await peer.reported(task.task_id, TaskState.SUCCEEDED)
    await peer.told(lambda: peer.posts)
    await peer.stop()
    await peer.start()
    await agent.logged("Agent ready", 2)
    await peer.ended(task.task_id)
    assert peer.printed(task.task_id) == bytes(2_000_000)
