"""An agent becomes another version of itself, or stays what it was; with a scripted server and real processes."""

import signal

from tests.support.agent_updates import Publisher, offered
from tests.support.release_peer import ReleasePeer, told
from tests.updates.conftest import Ready


async def test_an_agent_becomes_the_next_version(peer: ReleasePeer, publisher: Publisher, ready: Ready) -> None:
    publisher.add("9.0.0")
    agent = await ready()
    release = offered(peer, "9.0.0", publisher.bundle("9.0.0"), publisher.files())
    end = await peer.follow(release)
    assert told(end) == ("succeeded", "installed"), agent.log
    assert peer.registrations()[-1].agent_version == "9.0.0"
    assert await agent.end(signal.SIGTERM) == 0, agent.log
