"""An archive on a real agent: installed, upgraded, taken back, removed; the folder is the old or the new one, whole."""

from pathlib import Path
from typing import Any

from deployx_protocol.releases import Action, Manifest, Phase
from tests.support.release_peer import ReleasePeer, archive_of, manifest, told
from tests.support.task_peer import Ready


def app(peer: ReleasePeer, into: Path, number: int, **fields: Any) -> Manifest:
    """Version ``number`` of an application in the folder ``into``."""
    body = archive_of({"VERSION": f"{number}", "bin/app": f"#!/bin/sh\necho {number}\n"})
    archive = {"artifact": "app.tgz", "into": str(into), "strip": 1}
    artifact = peer.artifact("app.tgz", body)
    return manifest(number=number, kind="archive", artifacts=[artifact], archive=archive, **fields)


def version(into: Path) -> str:
    return (into / "VERSION").read_text()


def beside(into: Path) -> list[str]:
    """What is kept next to the folder."""
    return sorted(path.name for path in into.parent.iterdir() if path != into)


async def test_installed_upgraded_reverted_removed(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready()
    into = tmp_path / "opt" / "app"
    task = peer.release_task(app(peer, into, 1))
    await peer.submit(task)
    assert told(await peer.ended(task.task_id)) == ("succeeded", "installed"), agent.log
    assert version(into) == "1"
    assert (into / "bin/app").stat().st_mode & 0o777 == 0o755
    assert beside(into) == []
    assert set(peer.phases(task.task_id)) <= set(Phase)
    assert told(await peer.follow(app(peer, into, 1))) == ("succeeded", "already")
    for number in (2, 3):
        assert told(await peer.follow(app(peer, into, number))) == ("succeeded", "installed")
        assert version(into) == str(number)
        assert len(beside(into)) == 1, "one version back is kept, no more"
    assert told(await peer.follow(app(peer, into, 3), Action.REVERT)) == ("succeeded", "reverted")
    assert version(into) == "2"
    assert beside(into) == []
    assert told(await peer.follow(app(peer, into, 3), Action.REVERT)) == ("succeeded", "already")
    assert told(await peer.follow(app(peer, into, 3))) == ("succeeded", "installed")
    assert told(await peer.follow(app(peer, into, 3), Action.REMOVE)) == ("succeeded", "removed")
    assert not into.exists()
    assert beside(into) == []


async def test_an_older_number_is_refused(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    into = tmp_path / "opt" / "app"
    await peer.follow(app(peer, into, 2))
    end = await peer.follow(app(peer, into, 1))
    assert (*told(end), end.code) == ("failed", "untouched", "release_older")
    assert version(into) == "2"


async def test_what_fails_its_health_is_undone(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready()
    into = tmp_path / "opt" / "app"
    await peer.follow(app(peer, into, 1))
    health = {"check": {"shell": "echo not well >&2; exit 1"}, "within_s": 0.3, "interval_s": 0.1}
    task = peer.release_task(app(peer, into, 2, health=health))
    await peer.submit(task)
    end = await peer.ended(task.task_id)
    assert (*told(end), end.code) == ("failed", "reverted", "release_unhealthy"), agent.log
    assert end.message == "`health` did not succeed within 0.3 s: not well."
    assert b"not well" in peer.printed(task.task_id, 2)
    assert version(into) == "1"
    assert beside(into) == []
    assert told(await peer.follow(app(peer, into, 3))) == ("succeeded", "installed")


async def test_a_step_that_fails_leaves_nothing_where_nothing_was(
    peer: ReleasePeer, ready: Ready, tmp_path: Path
) -> None:
    await ready()
    into = tmp_path / "opt" / "app"
    end = await peer.follow(app(peer, into, 1, install={"shell": "exit 7"}))
    assert (*told(end), end.code) == ("failed", "reverted", "release_failed")
    assert end.message == "`install` failed with exit code 7."
    assert beside(into) == []
    assert not into.exists()


async def test_a_symbolic_link_is_pointed_elsewhere(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    old = tmp_path / "site" / "by-hand"
    old.mkdir(parents=True)
    (old / "VERSION").write_text("0")
    into = tmp_path / "site" / "current"
    into.symlink_to("by-hand")
    assert told(await peer.follow(app(peer, into, 1))) == ("succeeded", "installed")
    assert into.is_symlink()
    assert version(into) == "1"
    assert told(await peer.follow(app(peer, into, 1), Action.REVERT)) == ("succeeded", "reverted")
    assert into.readlink() == Path("by-hand")
    assert beside(into) == ["by-hand"]


async def test_the_steps_of_the_version_before_run_when_it_is_back(
    peer: ReleasePeer, ready: Ready, tmp_path: Path
) -> None:
    await ready()
    into, log = tmp_path / "opt" / "app", tmp_path / "log"
    install = {"shell": f"echo $RELEASE_VERSION $(cat {into}/VERSION) >> {log}"}
    await peer.follow(app(peer, into, 1, install=install))
    health = {"check": {"command": ["false"]}, "within_s": 0.1}
    await peer.follow(app(peer, into, 2, install=install, health=health))
    assert log.read_text().splitlines() == ["1.0 1", "2.0 2", "1.0 1"]
