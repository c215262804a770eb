"""A package on a real agent with the real dnf and rpm, on a machine of its own whose only packages these are."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deployx_agent.releases.dnf import table
from deployx_protocol.releases import Action, Manifest
from tests.support import rpm_repository
from tests.support.agent_process import AgentProcess, environment
from tests.support.own_root import OwnRoot
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.rpm_repository import PREFIX, RpmRepository

TABLE = """
Last metadata expiration check: 0:00:06 ago on Mon Nov 30 16:39:58 2026.
Dependencies resolved.
================================================================================
 Package             Architecture     Version          Repository          Size
================================================================================
Installing:
 web                 noarch           2:2.0-1          test               6.0 k
     replacing  older.web.noarch 1.0-1
Upgrading:
 a-very-long-name-that-needs-a-line-of-its-own
                     x86_64           5.1-1            test               6.0 k
Installing dependencies:
 lib                 x86_64           1.0-1            test               6.0 k
Removing dependent packages:
 other               noarch           1.0-1            @test              4
Skipping packages with broken dependencies:
 broken              noarch           1.0-1            test               6.0 k

Transaction Summary
================================================================================
Install  2 Packages
"""


def test_what_a_table_of_dnf_says() -> None:
    new, replaced = table(TABLE)
    assert new == ["web-2.0-1.noarch", "lib-1.0-1.x86_64"]
    assert replaced == ["older.web", "a-very-long-name-that-needs-a-line-of-its-own", "other"]


@pytest.fixture
def dnf(tmp_path: Path) -> RpmRepository:
    rpm_repository.ensure()
    return RpmRepository(tmp_path / "rpms")


@pytest.fixture
def machine(tmp_path: Path, dnf: RpmRepository) -> OwnRoot:
    made = OwnRoot(tmp_path / "machine", tmp_path)
    dnf.only_in(made)
    return made


Start = Callable[[], Awaitable[AgentProcess]]


@pytest.fixture
async def start(peer: ReleasePeer, machine: OwnRoot, state_dir: Path) -> AsyncIterator[Start]:
    started: list[AgentProcess] = []

    async def start() -> AgentProcess:
        env = environment(state_dir, server_url=peer.origin, reconnect_delay=0.05)
        agent = await AgentProcess.start(env, "run", under=machine.under)
        started.append(agent)
        await agent.logged("Agent ready - Listening for commands")
        return agent

    yield start
    for agent in started:
        await agent.tidy()


def package(number: int, state: str, version: str = "", **fields: Any) -> Manifest:
    wanted = {"name": f"{PREFIX}app", "state": state, "version": version}
    return manifest("package", number, kind="package", package=wanted, **fields)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_installed_upgraded_reverted_downgraded_removed(
    peer: ReleasePeer, start: Start, machine: OwnRoot, dnf: RpmRepository
) -> None:
    agent = await start()

    def there() -> tuple[list[str], list[str]]:
        return machine.rpm(f"{PREFIX}app"), machine.rpm(f"{PREFIX}lib")

    dnf.add("app", "1.0")
    one = package(1, "version", "1.0-1")
    assert told(await peer.follow(one)) == ("succeeded", "installed"), agent.log
    assert there() == (["1.0-1"], [])
    assert told(await peer.follow(one)) == ("succeeded", "already")
    dnf.add("lib", "1.0")
    dnf.add("app", "1.10", fields=f"Requires: {PREFIX}lib")  # what dnf has of the repository is a minute old
    latest = package(2, "latest")
    assert told(await peer.follow(latest)) == ("succeeded", "installed")
    assert there() == (["1.10-1"], ["1.0-1"])
    dnf.remove("app", "1.0")
    assert told(await peer.follow(latest, Action.REVERT)) == ("succeeded", "reverted")
    assert there() == (["1.0-1"], [])
    dnf.add("app", "1.0")
    assert told(await peer.follow(package(3, "latest"))) == ("succeeded", "installed")
    older = package(4, "version", "1.0-1")
    assert told(await peer.follow(older)) == ("succeeded", "installed")
    assert there() == (["1.0-1"], ["1.0-1"])
    assert told(await peer.follow(older, Action.REVERT)) == ("succeeded", "reverted")
    assert there() == (["1.10-1"], ["1.0-1"])
    absent = package(5, "absent")
    assert told(await peer.follow(absent)) == ("succeeded", "installed")
    assert there()[0] == []
    assert told(await peer.follow(absent, Action.REVERT)) == ("succeeded", "reverted")
    assert there() == (["1.10-1"], ["1.0-1"])


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_what_cannot_be_changes_nothing_and_what_breaks_is_undone(
    peer: ReleasePeer, start: Start, machine: OwnRoot, dnf: RpmRepository
) -> None:
    agent = await start()
    end = await peer.follow(package(1, "present"))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit"), agent.log
    assert end.message == f"The repositories of this machine have no package {PREFIX}app."
    end = await peer.follow(package(2, "version", "1.0"))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit")
    assert "it ends with its release" in end.message
    dnf.add("app", "1.0", fields=f"Requires: {PREFIX}nothing")
    end = await peer.follow(package(3, "present"))
    assert (*told(end), end.code) == ("failed", "untouched", "release_unfit"), end
    assert f"nothing provides {PREFIX}nothing" in end.message and "(try" not in end.message
    assert machine.rpm(f"{PREFIX}app") == []
    dnf.add("app", "1.1")
    assert told(await peer.follow(package(4, "present"))) == ("succeeded", "installed")
    dnf.add("app", "2.0", pre="echo it breaks >&2; exit 4")
    end = await peer.follow(package(5, "latest"))
    assert (*told(end), end.code) == ("failed", "reverted", "release_failed"), end.message
    assert machine.rpm(f"{PREFIX}app") == ["1.1-1"]
    dnf.add("app", "3.0")
    end = await peer.follow(package(6, "latest", health={"check": {"command": ["false"]}, "within_s": 0.1}))
    assert (*told(end), end.code) == ("failed", "reverted", "release_unhealthy"), end.message
    assert machine.rpm(f"{PREFIX}app") == ["1.1-1"]
    assert machine.text(f"/usr/share/{PREFIX}app/version") == "1.1\n"


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("inside", ["pre", "post"])
async def test_fault_02_killed_inside_rpm(
    peer: ReleasePeer, start: Start, machine: OwnRoot, dnf: RpmRepository, tmp_path: Path, inside: str
) -> None:
    agent = await start()
    dnf.add("app", "1.0")
    assert told(await peer.follow(package(1, "present"))) == ("succeeded", "installed"), agent.log
    dnf.add("lib", "1.0")
    waits = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    dnf.add("app", "2.0", fields=f"Requires: {PREFIX}lib", **{inside: waits})
    task = peer.release_task(package(2, "latest"))
    await peer.submit(task)
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.02)
    await agent.end(signal.SIGKILL)
    agent = await start()
    end = await peer.ended(task.task_id)
    assert told(end) == ("interrupted", "reverted"), f"{end} {agent.log}"
    assert (machine.rpm(f"{PREFIX}app"), machine.rpm(f"{PREFIX}lib")) == (["1.0-1"], [])
    (tmp_path / "go").touch()
    assert told(await peer.follow(package(2, "latest"))) == ("succeeded", "installed")
    assert (machine.rpm(f"{PREFIX}app"), machine.rpm(f"{PREFIX}lib")) == (["2.0-1"], ["1.0-1"])
