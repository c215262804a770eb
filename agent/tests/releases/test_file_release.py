"""One file on a real agent: its content, its mode and its owner, and what was there before."""

from pathlib import Path
from typing import Any

import pytest

from deployx_protocol.releases import Action, Manifest
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.task_peer import Ready


def settings(peer: ReleasePeer, path: Path, number: int, text: str, **fields: Any) -> Manifest:
    """Version ``number`` of a file of settings."""
    mode = fields.pop("mode", "0640")
    file = {"artifact": "app.conf", "path": str(path), "mode": mode, "owner": fields.pop("owner", "")}
    artifact = peer.artifact("app.conf", text.encode())
    return manifest("conf", number, kind="file", artifacts=[artifact], file=file, **fields)


async def test_it_takes_the_place_of_one_and_gives_it_back(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    path = tmp_path / "etc" / "app.conf"
    path.parent.mkdir()
    path.write_text("by hand")
    path.chmod(0o604)
    assert told(await peer.follow(settings(peer, path, 1, "one"))) == ("succeeded", "installed")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("one", 0o640)
    assert told(await peer.follow(settings(peer, path, 1, "one"))) == ("succeeded", "already")
    path.chmod(0o600)
    assert told(await peer.follow(settings(peer, path, 1, "one"))) == ("succeeded", "installed")
    assert told(await peer.follow(settings(peer, path, 2, "two"))) == ("succeeded", "installed")
    assert told(await peer.follow(settings(peer, path, 2, "two"), Action.REVERT)) == ("succeeded", "reverted")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("one", 0o640)
    assert [one.name for one in path.parent.iterdir()] == ["app.conf"]


@pytest.mark.parametrize("was", ["nothing", "file", "link"])
async def test_what_was_there_comes_back(peer: ReleasePeer, ready: Ready, tmp_path: Path, was: str) -> None:
    await ready()
    path = tmp_path / "etc" / "app.conf"
    path.parent.mkdir()
    if was == "file":
        path.write_text("by hand")
        path.chmod(0o4711)
    elif was == "link":
        path.symlink_to("elsewhere")
    task = peer.release_task(settings(peer, path, 1, "one", install={"shell": "exit 1"}))
    await peer.submit(task)
    assert told(await peer.ended(task.task_id)) == ("failed", "reverted")
    if was == "file":
        assert (path.read_text(), path.stat().st_mode & 0o7777) == ("by hand", 0o4711)
    elif was == "link":
        assert str(path.readlink()) == "elsewhere"
    assert len(list(path.parent.iterdir())) == (was != "nothing")


async def test_nobody_to_own_it(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    path = tmp_path / "etc" / "app" / "app.conf"
    end = await peer.follow(settings(peer, path, 1, "one", owner="nobody-of-that-name"))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit")
    assert not list(path.parent.iterdir())
    assert path.parent.stat().st_mode & 0o777 == 0o755
