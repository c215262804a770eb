"""Releases that have to be confirmed: what is healthy stays only if a server can still be reached.

A server that is down but answers the handshake is reached; one that does not answer at all is not, and then the version
before comes back, whoever is gone: the server, the agent, or both.
"""

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from deployx_agent.releases import confirm
from deployx_protocol.releases import Manifest, Phase
from tests.support.agent_process import StartAgent
from tests.support.authority import Authority
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.task_peer import Ready
from tests.support.tls_front import front

CONFIRM_S = 10


def settings(peer: ReleasePeer, path: Path, number: int, **fields: Any) -> Manifest:
    artifact = peer.artifact("settings", f"{number}".encode())
    file = {"artifact": "settings", "path": str(path)}
    return manifest("settings", number, kind="file", artifacts=[artifact], file=file, confirm_s=CONFIRM_S, **fields)


def waiting(folder: Path) -> dict[str, Any]:
    """An `install` that lasts until the test lets it go."""
    return {"shell": f"touch {folder}/begun; until [ -e {folder}/go ]; do sleep 0.05; done"}


async def begun(folder: Path) -> None:
    while not (folder / "begun").exists():
        await asyncio.sleep(0.02)


async def test_a_server_that_is_there_confirms(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    path = tmp_path / "etc" / "settings"
    assert told(await peer.follow(settings(peer, path, 1))) == ("succeeded", "installed")
    assert path.read_text() == "1"


@pytest.mark.soak
async def test_without_any_server_the_version_before_comes_back(
    peer: ReleasePeer, ready: Ready, tmp_path: Path
) -> None:
    agent = await ready()
    path = tmp_path / "etc" / "settings"
    await peer.follow(settings(peer, path, 1))
    task = peer.release_task(settings(peer, path, 2, install=waiting(tmp_path)))
    await peer.submit(task)
    await begun(tmp_path)
    await peer.stop()
    (tmp_path / "go").touch()
    await agent.logged("A release is undone")
    async with asyncio.timeout(30):
        while path.read_text() != "1":
            await asyncio.sleep(0.05)
    await peer.start()
    end = await peer.ended(task.task_id)
    assert (*told(end), end.code) == ("failed", "reverted", "release_unconfirmed")
    assert end.message.startswith(f"{peer.origin} could not be reached within 10 s after the release was healthy (")


async def test_an_agent_that_is_killed_meanwhile_has_no_more_time(
    peer: ReleasePeer, ready: Ready, start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = await ready()
    path = tmp_path / "etc" / "settings"
    await peer.follow(settings(peer, path, 1))
    task = peer.release_task(settings(peer, path, 2, install=waiting(tmp_path)))
    await peer.submit(task)
    await begun(tmp_path)
    await peer.stop()
    (tmp_path / "go").touch()
    current = tmp_path / "state" / "releases" / "current.json"
    while '"confirming"' not in current.read_text():
        await asyncio.sleep(0.02)
    await agent.end(signal.SIGKILL)
    assert path.read_text() == "2"
    second = await start_agent(server_url=peer.origin, reconnect_attempts=0)
    await second.logged("Going on with a release")
    assert await second.end(signal.SIGTERM) == 0, "it is left to the next one, which has what is left of the time"
    assert path.read_text() == "2"
    third = await start_agent(server_url=peer.origin, reconnect_attempts=1)
    assert await third.end() == 69, "it gives up, but stays until no unconfirmed install is left"
    assert "The agent stays until its tasks have ended" in third.log
    assert path.read_text() == "1"
    await peer.start()
    await start_agent(server_url=peer.origin)
    end = await peer.ended(task.task_id)
    assert (*told(end), end.code) == ("failed", "reverted", "release_unconfirmed")


async def test_a_server_that_is_down_behind_its_handshake_reverts_nothing(
    peer: ReleasePeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority").make()
    async with front(peer, authority.issue("IP:127.0.0.1")) as port:
        agent = await start_agent(server_url=f"https://127.0.0.1:{port}", ca_file=authority.certificate)
        await agent.logged("Agent ready - Listening for commands")
        path = tmp_path / "etc" / "settings"
        task = peer.release_task(settings(peer, path, 1, install=waiting(tmp_path)))
        await peer.submit(task)
        await begun(tmp_path)
        await peer.stop()
        (tmp_path / "go").touch()
        current = tmp_path / "state" / "releases" / "current.json"
        while '"over"' not in current.read_text():
            await asyncio.sleep(0.05)
        await peer.start()
        assert told(await peer.ended(task.task_id)) == ("succeeded", "installed"), agent.log
        assert path.read_text() == "1"
        await agent.end(signal.SIGTERM)
        await peer.stop()


async def test_any_address_of_the_server_confirms(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        peer.public_urls = [peer.origin, f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}", "http://192.0.2.1"]
        agent = await ready()
        task = peer.release_task(settings(peer, tmp_path / "settings", 1, install=waiting(tmp_path)))
        await peer.submit(task)
        await begun(tmp_path)
        await peer.stop()
        (tmp_path / "go").touch()
        while '"over"' not in (tmp_path / "state" / "releases" / "current.json").read_text():
            await asyncio.sleep(0.02)
    assert (tmp_path / "settings").read_text() == "1"
    assert "undone" not in agent.log


async def test_what_answers_none_is_said_of_each() -> None:
    with socket.socket() as closed:  # bound, and not listening
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        why = await confirm.none_reached([address, "http://localhost:1"], None, 5)
    assert why.startswith(f"{address}: ") and "; http://localhost:1: " in why


@pytest.mark.parametrize(
    ("own", "told", "counted"),
    [
        ("https://a.example", ["https://a.example", "HTTPS://B.example/", "https://b.example"], ["https://b.example"]),
        ("https://a.example", ["http://b.example", "http://127.0.0.1", "https://c.example/x", "?", ""], []),
        ("http://127.0.0.1:8000", ["http://b.example", "http://localhost:8000"], ["http://localhost:8000"]),
    ],
)
def test_whose_answer_counts(own: str, told: list[str], counted: list[str]) -> None:
    assert confirm.others(told, own) == counted


@pytest.mark.soak
async def test_authorities_that_a_release_has_spoilt_are_no_server(
    peer: ReleasePeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    """The connection that is open goes on; only a new one shows that there will be no other."""
    authority = Authority(tmp_path / "authority").make()
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.certificate.read_bytes())
    other = Authority(tmp_path / "other").make()
    async with front(peer, authority.issue("IP:127.0.0.1")) as port:
        agent = await start_agent(server_url=f"https://127.0.0.1:{port}", ca_file=trusted)
        await agent.logged("Agent ready - Listening for commands")
        artifact = peer.artifact("ca.pem", other.certificate.read_bytes())
        file = {"artifact": "ca.pem", "path": str(trusted)}
        release = manifest("trust", 1, kind="file", artifacts=[artifact], file=file, confirm_s=CONFIRM_S)
        task = peer.release_task(release)
        await peer.submit(task)
        await peer.told(lambda: Phase.CONFIRMING in peer.phases(task.task_id))
        end = await peer.ended(task.task_id)
        assert (*told(end), end.code) == ("failed", "reverted", "release_unconfirmed")
        assert "CERTIFICATE_VERIFY_FAILED" in end.message or "certificate verify failed" in end.message
        assert trusted.read_bytes() == authority.certificate.read_bytes()
        await agent.end(signal.SIGTERM)
        await peer.stop()
