"""Scripts that are kept: fetched once, checked each time, private, bounded, and gone when nobody uses them."""

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from deployx_agent.tasks.script_cache import MAX_BYTES, UNUSED_S, ScriptCache
from deployx_protocol.task_messages import Script
from deployx_protocol.tasks import TaskState
from tests.support.task_peer import Ready, TaskPeer


@pytest.fixture
def cache(tmp_path: Path) -> ScriptCache:
    return ScriptCache(tmp_path)


def named(body: bytes) -> Script:
    return Script(sha256=hashlib.sha256(body).hexdigest(), size=len(body), interpreter=["sh"])


def used_ago(tmp_path: Path, body: bytes, seconds: float) -> None:
    at = time.time() - seconds
    os.utime(tmp_path / "scripts" / named(body).sha256, (at, at))


def kept(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "scripts").iterdir()}


async def test_a_script_is_fetched_once_and_again_when_it_was_changed(
    peer: TaskPeer, ready: Ready, state_dir: Path, tmp_path: Path
) -> None:
    await ready()
    script = peer.script(f"echo ran >> {tmp_path}/marker".encode(), "sh")
    for _ in range(3):
        assert (await peer.do(script=script)).state is TaskState.SUCCEEDED
    assert peer.fetched == [script.sha256]
    folder = state_dir / "tasks" / "scripts"
    path = folder / script.sha256
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, path)] == [0o700, 0o600]

    path.write_bytes(f"touch {tmp_path}/evil; echo ran >> {tmp_path}/marker".encode())
    assert (await peer.do(script=script)).state is TaskState.SUCCEEDED
    assert peer.fetched == [script.sha256] * 2
    assert (tmp_path / "marker").read_text() == "ran\n" * 4
    assert not (tmp_path / "evil").exists()

    path.unlink()
    path.symlink_to(tmp_path / "marker")
    assert (await peer.do(script=script)).state is TaskState.SUCCEEDED
    assert not path.is_symlink()


async def test_a_cache_that_cannot_be_kept_stops_no_task(peer: TaskPeer, ready: Ready, state_dir: Path) -> None:
    await ready()
    (state_dir / "tasks" / "scripts").write_text("in the way")
    assert (await peer.do(script=peer.script(b"echo hi", "sh"))).state is TaskState.SUCCEEDED


def test_what_nobody_uses_goes(cache: ScriptCache, tmp_path: Path) -> None:
    for body in (b"old", b"young"):
        cache.put(body)
    (tmp_path / "scripts" / f"{'0' * 64}.part").write_bytes(b"half")
    used_ago(tmp_path, b"old", UNUSED_S + 60)
    used_ago(tmp_path, b"young", UNUSED_S - 60)
    cache.prune()
    assert kept(tmp_path) == {named(b"young").sha256}
    assert cache.get(named(b"old")) is None
    assert cache.get(named(b"young")) == b"young"
    assert (tmp_path / "scripts" / named(b"young").sha256).stat().st_mtime > time.time() - 60


def test_of_too_much_what_was_used_longest_ago_goes(cache: ScriptCache, tmp_path: Path) -> None:
    bodies = [bytes([number]) * (MAX_BYTES // 4) for number in range(5)]
    for age, body in enumerate(bodies[:4]):
        cache.put(body)
        used_ago(tmp_path, body, 1_000 - age)
    assert cache.get(named(bodies[0])) == bodies[0]  # used now: the second is the oldest
    cache.put(bodies[4])
    assert kept(tmp_path) == {named(body).sha256 for body in (bodies[0], *bodies[2:])}


def test_another_size_than_the_task_names_is_not_taken(cache: ScriptCache) -> None:
    cache.put(b"echo hi")
    wrong = Script(sha256=named(b"echo hi").sha256, size=3, interpreter=["sh"])
    assert cache.get(wrong) is None
