"""An agent becomes another version of itself, or stays what it was: a scripted server, real processes, real slots."""

import signal
from pathlib import Path

import pytest

from deployx_agent import VERSION
from deployx_protocol.messages import TAKES_UPDATES
from deployx_protocol.releases import Action
from tests.support.agent_updates import Publisher, offered
from tests.support.memory import resident_mib
from tests.support.release_peer import ReleasePeer, told
from tests.updates.conftest import Ready

NEVER_REGISTERS = ("deployx_agent/connection/session.py", "async def _register(self) -> None:\n", "        return\n")
CANNOT_BE_LOADED = ("deployx_agent/agent.py", '"""Wires', 'raise RuntimeError("half of it is missing")\n')


def changed(place: tuple[str, str, str]):  # type: ignore[no-untyped-def]
    """A version in which the file has something more, behind or before the words."""
    name, words, more = place

    def change(path: str, text: str) -> str:
        if path != name:
            return text
        assert text.count(words) == 1
        return text.replace(words, words + more if words.endswith("\n") else more + words)

    return change


def versions(peer: ReleasePeer) -> list[str]:
    """As whom it has registered, one after the other."""
    return [one.agent_version for one in peer.registrations()]


async def test_an_agent_becomes_the_next_version(peer: ReleasePeer, publisher: Publisher, ready: Ready) -> None:
    publisher.add("9.0.0")
    agent = await ready()
    assert TAKES_UPDATES.items() <= peer.registrations()[-1].facts.items()
    files, bundle = publisher.files(), publisher.bundle("9.0.0")
    forged = await peer.follow(offered(peer, "9.0.0", bundle + b"\0" * 512, files))
    assert (*told(forged), forged.code) == ("failed", "untouched", "release_untrusted"), agent.log
    end = await peer.follow(offered(peer, "9.0.0", bundle, files, number=2))
    assert told(end) == ("succeeded", "installed"), agent.log
    assert versions(peer) == [VERSION, "9.0.0"]
    done = await peer.do("sh", "-c", "echo it works")  # its own children are of the new version too
    assert done.state == "succeeded"
    assert await agent.end(signal.SIGTERM) == 0, agent.log


@pytest.mark.soak
async def test_one_that_does_not_register_is_undone(peer: ReleasePeer, publisher: Publisher, ready: Ready) -> None:
    publisher.add("9.0.0", changed(NEVER_REGISTERS))
    publisher.add("9.0.1", changed(CANNOT_BE_LOADED))
    publisher.add("9.0.2")
    agent = await ready(update_patience=3)
    end = await peer.follow(offered(peer, "9.0.0", publisher.bundle("9.0.0"), publisher.files()))
    assert (*told(end), end.code) == ("failed", "reverted", "release_unconfirmed"), agent.log
    assert "9.0.0 did not register within 3 s" in end.message
    end = await peer.follow(offered(peer, "9.0.1", publisher.bundle("9.0.1"), publisher.files(), number=2))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit"), agent.log
    assert "half of it is missing" in end.message
    assert set(versions(peer)) == {VERSION}
    end = await peer.follow(offered(peer, "9.0.2", publisher.bundle("9.0.2"), publisher.files(), number=3))
    assert told(end) == ("succeeded", "installed"), agent.log
    assert await agent.end(signal.SIGTERM) == 0


@pytest.mark.soak
async def test_from_slot_to_slot_and_back_as_far_as_the_keys_allow(
    peer: ReleasePeer, publisher: Publisher, ready: Ready
) -> None:
    publisher.add("9.0.0")
    publisher.add("9.1.0")
    agent = await ready()
    first = offered(peer, "9.0.0", publisher.bundle("9.0.0"), publisher.files())
    second = offered(peer, "9.1.0", publisher.bundle("9.1.0"), publisher.files(), number=2)
    assert told(await peer.follow(first)) == ("succeeded", "installed"), agent.log
    assert told(await peer.follow(first)) == ("succeeded", "already"), agent.log
    back_to_base = await peer.follow(first, Action.REVERT)  # nobody has vouched for what came by hand
    assert (*told(back_to_base), back_to_base.code) == ("failed", "untouched", "release_untrusted"), agent.log
    assert told(await peer.follow(second)) == ("succeeded", "installed"), agent.log
    older = await peer.follow(offered(peer, "9.0.0", publisher.bundle("9.0.0"), publisher.files(), 3, "9.0.0+3"))
    assert (older.code, "never goes below" in older.message) == ("release_untrusted", True)
    third = offered(peer, "9.1.0", publisher.bundle("9.1.0"), publisher.files(), 4, "9.1.0+4")
    assert told(await peer.follow(third, Action.REVERT)) == ("succeeded", "reverted"), agent.log
    assert versions(peer) == [VERSION, "9.0.0", "9.1.0", "9.0.0"]
    assert await agent.end(signal.SIGTERM) == 0


@pytest.mark.soak
async def test_what_runs_is_waited_for_and_nothing_of_the_launcher_stays(
    peer: ReleasePeer, publisher: Publisher, ready: Ready, tmp_path: Path
) -> None:
    publisher.add("9.0.0")
    agent = await ready()
    before = resident_mib(agent.process.pid)
    lasts = peer.task(
        "sh", "-c", f"touch {tmp_path}/began; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo done"
    )
    await peer.submit(lasts)
    update = peer.release_task(offered(peer, "9.0.0", publisher.bundle("9.0.0"), publisher.files()))
    await peer.submit(update)
    await agent.logged("Waiting for tasks to end")
    (tmp_path / "go").touch()
    assert (await peer.ended(lasts.task_id)).state == "succeeded"
    assert told(await peer.ended(update.task_id)) == ("succeeded", "installed"), agent.log
    assert sum(one.task_id == update.task_id and one.state == "succeeded" for one in peer.updates) == 1
    await agent.end(signal.SIGTERM)
    again = await ready()
    assert versions(peer)[-1] == "9.0.0"
    after = resident_mib(again.process.pid)
    print(f"resident: {before:.1f} MiB before, {after:.1f} MiB in a slot")
    assert after < before + 4
