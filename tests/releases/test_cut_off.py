"""A release that cuts its machine off the network is undone by the agent alone, in the time it has to be confirmed.

The agent lives in a network namespace of its own, behind a pair of veth; its server is on the other side, with TLS.
"""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess, environment
from tests.support.authority import Authority
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.tls_front import front

CONFIRM_S = 10
_NETWORK = 0x40000000
"""CLONE_NEWNET."""


class Namespaces:
    """Two networks: a server's, and a machine's with one way out. This machine's own does not change, which browsers
    that other tests have would notice."""

    def __init__(self) -> None:
        self.server, self.machine = (f"deployx-{os.getpid()}-{side}" for side in ("server", "machine"))
        self.host = "10.219.1.1"

    def make(self) -> None:
        for name in (self.server, self.machine):
            _ip("netns", "add", name)
        _ip("-n", self.server, "link", "add", "in", "type", "veth", "peer", "name", "out", "netns", self.machine)
        for name, link, address in ((self.server, "in", self.host), (self.machine, "out", "10.219.1.2")):
            _ip("-n", name, "addr", "add", f"{address}/30", "dev", link)
            _ip("-n", name, "link", "set", link, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def listening(self) -> socket.socket:
        """A socket in the server's network."""
        made: list[socket.socket] = []

        def enter() -> None:  # a thread that ends afterwards: it does not come back
            with Path("/run/netns", self.server).open() as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _NETWORK):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.create_server((self.host, 0)))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return made[0]

    def remove(self) -> None:
        for name in (self.server, self.machine):
            subprocess.run(["ip", "netns", "del", name], check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def networks() -> Iterator[Namespaces]:
    made = Namespaces()
    try:
        made.make()
        yield made
    finally:
        made.remove()


async def test_a_release_that_cuts_the_network_is_undone_by_the_agent(networks: Namespaces, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    authority = Authority(tmp_path / "authority").make()
    context = authority.issue(f"IP:{networks.host}")
    async with ReleasePeer.running(state) as peer, front(peer, context, networks.listening()) as port:
        env = environment(
            state, server_url=f"https://{networks.host}:{port}", ca_file=authority.certificate, reconnect_delay=0.2
        )
        agent = await AgentProcess.start(env, "run", under=["ip", "netns", "exec", networks.machine])
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
