"""A script on a real agent: it finds its artifacts beside it, and goes back by the version before or by `uninstall`."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from deployx_protocol.releases import Action, Manifest, Phase
from deployx_protocol.tasks import TaskState
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.task_peer import Ready


def script(peer: ReleasePeer, place: Path, number: int, *, extra: str = "", **fields: Any) -> Manifest:
    """Version ``number``, which writes its number to ``place`` and each of its doings to a log beside it."""
    text = f"#!/bin/sh\necho install {number} >> {place}.log\n{extra}\ncat number > {place}\n"
    return manifest(
        number=number,
        artifacts=[peer.artifact("setup.sh", text.encode()), peer.artifact("number", f"{number}\n".encode())],
        install={"artifact": "setup.sh"},
        detect={"command": ["grep", "-qx", str(number), str(place)]},
        uninstall={"shell": f"echo uninstall {number} >> {place}.log; rm -f {place}"},
        **fields,
    )


def before(peer: ReleasePeer, previous: Manifest) -> dict[str, Any]:
    """As the manifest of the next version names it."""
    order = peer.order(previous)
    return {"version": previous.version, "sha256": order.sha256, "size": order.size}


def log(place: Path) -> list[str]:
    return Path(f"{place}.log").read_text().splitlines()


async def test_in_place_and_out_again(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    place = tmp_path / "app"
    one = script(peer, place, 1)
    assert told(await peer.follow(one)) == ("succeeded", "installed")
    asked = len(peer.asked)
    assert told(await peer.follow(one)) == ("succeeded", "already")
    assert len(peer.asked) == asked, "what is there is not fetched"
    assert told(await peer.follow(one, Action.REMOVE)) == ("succeeded", "removed")
    assert told(await peer.follow(one, Action.REMOVE)) == ("succeeded", "already")
    assert log(place) == ["install 1", "uninstall 1"]


async def test_it_goes_back_to_the_version_before_without_the_server(
    peer: ReleasePeer, ready: Ready, tmp_path: Path
) -> None:
    await ready()
    place = tmp_path / "app"
    one = script(peer, place, 1)
    await peer.follow(one)
    peer.artifacts.clear()
    peer.payloads.clear()
    end = await peer.follow(script(peer, place, 2, extra="exit 3", previous=before(peer, one)))
    assert (*told(end), end.message) == ("failed", "reverted", "`install` failed with exit code 3.")
    assert place.read_text() == "1\n"
    assert log(place) == ["install 1", "install 2", "install 1"]


async def test_the_version_before_is_fetched_first(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    place = tmp_path / "app"
    place.write_text("1\n")  # by hand: this agent has not installed it
    one = script(peer, place, 1)
    named = before(peer, one)
    gone = peer.artifacts.pop(one.artifacts[0].sha256)
    two = script(peer, place, 2, previous=named, health={"check": {"command": ["false"]}, "within_s": 0.1})
    end = await peer.follow(two)
    assert (*told(end), end.code) == ("failed", "untouched", "release_unavailable")
    assert not Path(f"{place}.log").exists()
    peer.artifact("setup.sh", gone)
    assert told(await peer.follow(two)) == ("failed", "reverted")
    assert log(place) == ["install 2", "install 1"]


async def test_where_nothing_was_it_is_uninstalled(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    place = tmp_path / "app"
    named = before(peer, script(peer, place, 1))
    two = script(peer, place, 2, extra="cat number > $0.done; exit 1", previous=named)
    assert told(await peer.follow(two)) == ("failed", "reverted")
    assert log(place) == ["install 2", "uninstall 2"]
    assert not place.exists()


async def test_a_way_back_that_fails_is_told(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    agent = await ready()
    failing = {"command": ["false"]}
    end = await peer.follow(manifest(install=failing, detect=failing, uninstall={"shell": "exit 9"}))
    assert told(end) == ("failed", "revert_failed")
    assert end.message == (
        "`install` failed with exit code 1. It could not be undone: `uninstall` failed with exit code 9."
    )
    end = await peer.follow(manifest("other", install=failing, detect=failing, confirm_s=10))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit")
    assert "Traceback" not in agent.log


async def test_called_off_and_out_of_time(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    place = tmp_path / "app"
    await peer.follow(script(peer, place, 1))
    lasting = script(peer, place, 2, extra=f"touch {tmp_path}/begun; sleep 60")
    task = peer.release_task(lasting)
    await peer.submit(task)
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.02)
    await peer.cancel(task.task_id)
    assert told(await peer.ended(task.task_id)) == ("cancelled", "reverted")
    assert place.read_text() == "1\n"
    assert told(await peer.follow(lasting, timeout_s=1.0)) == ("timed_out", "reverted")
    assert log(place) == ["install 1", "install 2", "install 1", "install 2", "install 1"]


async def test_a_release_that_waits_is_called_off(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    place = tmp_path / "app"
    first = peer.release_task(script(peer, place, 1, extra=f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"))
    second, third, unheard = (peer.release_task(script(peer, tmp_path / name, 2)) for name in ("b", "c", "d"))
    await peer.submit(first, second, third)
    await peer.reported(first.task_id, TaskState.RUNNING)
    await peer.cancel(second.task_id)
    assert told(await peer.ended(second.task_id)) == ("cancelled", "untouched")
    await peer.withdraw(first.task_id, second.task_id, third.task_id, unheard.task_id)
    for task in (third, unheard):
        end = await peer.ended(task.task_id)
        assert (end.state, end.code) == ("cancelled", "withdrawn")
    await peer.assign(unheard)
    await peer.reported(unheard.task_id, TaskState.CANCELLED, 2)
    (tmp_path / "go").touch()  # what had started goes on
    assert told(await peer.ended(first.task_id)) == ("succeeded", "installed")


async def test_phases_are_told_as_they_come(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    place = tmp_path / "app"
    gate = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    task = peer.release_task(script(peer, place, 1, extra=gate))
    await peer.submit(task)
    await peer.told(lambda: Phase.INSTALLING in peer.phases(task.task_id))
    (tmp_path / "go").touch()
    assert told(await peer.ended(task.task_id)) == ("succeeded", "installed")
    phases = peer.phases(task.task_id)
    assert phases[-1] in (Phase.INSTALLING, Phase.DETECTING)
    assert len([update for update in peer.updates if update.task_id == task.task_id]) <= 8


async def test_an_agent_that_is_stopped_says_so_and_the_next_one_puts_it_back(
    peer: ReleasePeer, ready: Ready, tmp_path: Path
) -> None:
    agent = await ready()
    place = tmp_path / "app"
    await peer.follow(script(peer, place, 1))
    task = peer.release_task(script(peer, place, 2, extra=f"echo half > {place}; touch {tmp_path}/begun; sleep 60"))
    await peer.submit(task)
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.02)
    agent.process.send_signal(signal.SIGTERM)
    await agent.logged("Waiting for tasks to end")
    assert await agent.end(signal.SIGTERM) == 0  # the second hurries
    end = await peer.ended(task.task_id)
    assert (end.state, end.code) == (TaskState.INTERRUPTED, "agent_stopped")
    assert place.read_text() == "half\n"
    again = await ready()
    assert told(await peer.follow(script(peer, tmp_path / "other", 3))) == ("succeeded", "installed"), again.log
    assert place.read_text() == "1\n"
