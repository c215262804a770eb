"""A package on a real agent, with the real apt and dpkg of this machine, from a repository that the test makes."""

import asyncio
import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployx_protocol.releases import Action, Manifest
from deployx_protocol.task_messages import STDERR
from deployx_protocol.tasks import FINAL
from tests.support.apt_repository import PREFIX, AptRepository, installed, repository
from tests.support.left_over import left_over
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.task_peer import Ready


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AptRepository]:
    with repository(tmp_path / "apt") as found:
        monkeypatch.setenv("APT_CONFIG", str(found.settings))
        yield found


def package(number: int, state: str, version: str = "", **fields: Any) -> Manifest:
    name = fields.pop("package_name", f"{PREFIX}app")
    wanted = {"name": name, "state": state, "version": version}
    return manifest("package", number, kind="package", package=wanted, **fields)


async def test_present_upgraded_reverted_absent(peer: ReleasePeer, ready: Ready, apt: AptRepository) -> None:
    agent = await ready()
    apt.add("lib", "1.0")
    apt.add("app", "1.0")
    one = package(1, "version", "1.0")
    assert told(await peer.follow(one)) == ("succeeded", "installed"), agent.log
    assert installed("app") == "ii 1.0"
    assert told(await peer.follow(one)) == ("succeeded", "already")
    apt.add("app", "2.0", depends=f"{PREFIX}lib")
    latest = package(2, "latest")
    assert told(await peer.follow(latest)) == ("succeeded", "installed")
    assert (installed("app"), installed("lib")) == ("ii 2.0", "ii 1.0")
    apt.remove("app", "1.0")
    assert told(await peer.follow(latest, Action.REVERT)) == ("succeeded", "reverted")
    assert (installed("app"), installed("lib")) == ("ii 1.0", "")
    absent = package(3, "absent")
    assert told(await peer.follow(absent)) == ("succeeded", "installed")
    assert installed("app") == "rc 1.0"
    assert told(await peer.follow(absent, Action.REVERT)) == ("succeeded", "reverted")
    assert installed("app") == "ii 1.0"


async def test_a_version_that_breaks_is_undone_from_what_was_installed(
    peer: ReleasePeer, ready: Ready, apt: AptRepository
) -> None:
    await ready()
    apt.add("app", "1.0")
    await peer.follow(package(1, "present"))
    mine = Path(f"/etc/{PREFIX}app/settings")
    mine.write_text("changed by somebody\n")
    apt.remove("app", "1.0")  # as a security update does: no repository has it any more
    apt.add("app", "2.0", postinst="echo it breaks >&2; exit 4")
    end = await peer.follow(package(2, "latest"))
    assert (*told(end), end.code) == ("failed", "reverted", "release_failed")
    assert installed("app") == "ii 1.0"
    assert Path(f"/usr/share/{PREFIX}app/version").read_text() == "1.0"
    assert mine.read_text() == "changed by somebody\n"
    kept = list((apt.folder.parent / "state" / "releases" / "kept").rglob("*"))
    assert not [path for path in kept if path.suffix == ".root"]


@pytest.mark.parametrize("inside", ["postinst", pytest.param("preinst", marks=pytest.mark.soak)])
async def test_fault_02_killed_inside_dpkg(
    peer: ReleasePeer, ready: Ready, apt: AptRepository, tmp_path: Path, inside: str
) -> None:
    agent = await ready()
    apt.add("app", "1.0")
    assert told(await peer.follow(package(1, "present"))) == ("succeeded", "installed")
    waits = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    apt.add("lib", "1.0")
    apt.add("app", "2.0", depends=f"{PREFIX}lib", **{inside: waits})
    task = peer.release_task(package(2, "latest"))
    await peer.submit(task)
    while not (tmp_path / "begun").exists():
        assert not FINAL & {*peer.states(task.task_id)}, f"{peer.updates[-1]} {peer.printed(task.task_id, STDERR)!r}"
        await asyncio.sleep(0.02)
    assert installed("app")[:2] != "ii"
    await agent.end(signal.SIGKILL)
    await ready()
    end = await peer.ended(task.task_id)
    assert told(end) == ("interrupted", "reverted"), end
    assert (installed("app"), installed("lib")) == ("ii 1.0", "")
    assert left_over({task.task_id}) == []
    (tmp_path / "go").touch()
    assert told(await peer.follow(package(2, "latest"))) == ("succeeded", "installed")
    assert (installed("app"), installed("lib")) == ("ii 2.0", "ii 1.0")


async def test_who_holds_a_lock_of_apt_is_waited_for(peer: ReleasePeer, ready: Ready, apt: AptRepository) -> None:
    await ready()
    apt.add("app", "1.0")
    task = peer.release_task(package(1, "present"))
    with (apt.folder / "lists" / "lock").open("w") as first, (apt.folder / "cache/archives/lock").open("w") as second:
        fcntl.lockf(first, fcntl.LOCK_EX)
        fcntl.lockf(second, fcntl.LOCK_EX)
        await peer.submit(task)
        await peer.told(lambda: b"Unable to lock" in peer.printed(task.task_id, STDERR))
    assert told(await peer.ended(task.task_id)) == ("succeeded", "installed")


async def test_what_no_repository_has_changes_nothing(peer: ReleasePeer, ready: Ready, apt: AptRepository) -> None:
    await ready()
    end = await peer.follow(package(1, "present"))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit")
    assert end.message == f"The repositories of this machine have no package {PREFIX}app."
    apt.add("app", "1.0", depends="deployx-test-nothing")
    end = await peer.follow(package(2, "version", "1.0"))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit")
    assert installed("app") == ""
