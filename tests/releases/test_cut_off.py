"""A release that cuts its machine off the network is undone by the agent alone, in the time it has to be confirmed.

The agent lives in a network namespace of its own, behind a pair of veth; its server is on the other side, with TLS.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess, environment
from tests.support.authority import Authority
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.tls_front import front

CONFIRM_S = 10


class Namespace:
    """A network of its own, with one way out."""

    def __init__(self) -> None:
        number = os.getpid() % 250
        self.name = f"deployx-{os.getpid()}"
        self.link = f"dx{os.getpid() % 100_000}"
        self.host, self.machine = f"10.219.{number}.1", f"10.219.{number}.2"

    def make(self) -> None:
        _ip("netns", "add", self.name)
        _ip("link", "add", self.link, "type", "veth", "peer", "name", "out", "netns", self.name)
        _ip("addr", "add", f"{self.host}/30", "dev", self.link)
        _ip("link", "set", self.link, "up")
        for words in (("addr", "add", f"{self.machine}/30", "dev", "out"), ("link", "set", "out", "up")):
            _ip("-n", self.name, *words)
        _ip("-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        subprocess.run(["ip", "link", "del", self.link], check=False, stderr=subprocess.DEVNULL)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    try:
        made.make()
        yield made
    finally:
        made.remove()


async def test_a_release_that_cuts_the_network_is_undone_by_the_agent(namespace: Namespace, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    authority = Authority(tmp_path / "authority").make()
    context = authority.issue(f"IP:{namespace.host}")
    async with ReleasePeer.running(state) as peer, front(peer, context, namespace.host) as port:
        env = environment(
            state, server_url=f"https://{namespace.host}:{port}", ca_file=authority.certificate, reconnect_delay=0.2
        )
        agent = await AgentProcess.start(env, "run", under=["ip", "netns", "exec", namespace.name])
        try:
            await agent.logged("Agent ready - Listening for commands")
            place = tmp_path / "network"
            first = manifest(
                "network",
                1,
                install={"shell": f"ip link set out up && echo 1 > {place}"},
                detect={"command": ["grep", "-qx", "1", str(place)]},
            )
            assert told(await peer.follow(first)) == ("succeeded", "installed"), agent.log
            cut = manifest(
                "network",
                2,
                install={"shell": f"echo 2 > {place}; ip link set out down"},
                detect={"command": ["grep", "-qx", "2", str(place)]},
                confirm_s=CONFIRM_S,
            )
            task = peer.release_task(cut)
            await peer.submit(task)
            async with asyncio.timeout(60):  # the server has no part in it: it is not even told before
                while not place.exists() or place.read_text() != "2\n":
                    await asyncio.sleep(0.02)
                while place.read_text() != "1\n":
                    await asyncio.sleep(0.05)
            end = await peer.ended(task.task_id)
            assert (*told(end), end.code) == ("failed", "reverted", "release_unconfirmed"), agent.log
            assert "could not be reached within 10 s" in end.message
            await agent.end(signal.SIGTERM)
        finally:
            await agent.tidy()
