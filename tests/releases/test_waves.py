"""A real server and real agents, each with a file system and a package database of its own: releases in waves.

A package and an archive are installed, upgraded and rolled back. What is not healthy in the third wave stops there, and
every machine is back on the version before: seen in the device's own database, not in ours.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deployx_protocol.releases import Manifest
from tests.conftest import Operate, StartServer, keep_log
from tests.support.agent_process import AgentProcess, environment
from tests.support.apt_repository import PREFIX, AptRepository
from tests.support.node import eventually
from tests.support.own_root import OwnRoot
from tests.support.release_peer import archive_of
from tests.support.releases import artifact, envelope, manifest
from tests.support.server_process import Operator

INTO = "/opt/deployx-test/app"
SICK = "/etc/deployx-test-sick"
OVER_S = 300.0
HEALTH = {"check": {"shell": f"test ! -e {SICK}"}, "within_s": 10.0, "interval_s": 0.5}


class Fleet:
    """``count`` machines, the last of which is not well with anything new."""

    def __init__(self, operator: Operator, folder: Path, count: int) -> None:
        self.operator = operator
        self.machines = [OwnRoot(folder / f"machine-{number}", folder) for number in range(count)]
        self._folder = folder
        self.agents: list[AgentProcess] = []

    async def start(self, server_url: str, apt: AptRepository) -> None:
        token = await self.operator.enrollment_token(max_uses=len(self.machines))
        for number, machine in enumerate(self.machines):
            state = self._folder / f"agent-{number}"
            state.mkdir(mode=0o700)
            env = environment(
                state,
                server_url=server_url,
                enrollment_token=token,
                machine_id=f"own-root-{number}",
                tags=f"place={number:02}",
                reconnect_delay=0.2,
            )
            env["APT_CONFIG"] = str(apt.settings_in(self._folder / f"apt-{number}"))
            self.agents.append(await AgentProcess.start(env, "run", under=machine.under))
        for agent in self.agents:
            await agent.logged("Agent ready - Listening for commands")
        await self.operator.until(len(self.machines), status="online", trust="trusted")

    async def end(self) -> None:
        await asyncio.gather(*(agent.tidy() for agent in self.agents))

    async def deploy(self, release: Manifest, waves: list[str], ends: str) -> dict[str, Any]:
        """To all of them; the deployment, once it is in the state ``ends``."""
        made = await self.operator.ask("POST", "/releases", envelope(release))
        strategy = {"waves": waves, "order": "tag", "order_tag": "place", "on_failure": "roll_back"}
        asked = {"release": made["sha256"], "targets": {"selector": "*"}, "strategy": strategy}
        view = await self.operator.ask("POST", "/deployments", asked)
        now: dict[str, Any] = {}

        async def over() -> bool:
            now.update(await self.operator.ask("GET", f"/deployments/{view['id']}"))
            return bool(now["finished_at"]) or now["state"] == "paused"

        await eventually(over, within_s=OVER_S, what=f"the deployment to be {ends}")
        targets = await self.operator.ask("GET", f"/deployments/{view['id']}/targets")
        assert now["state"] == ends, [(one["state"], one["reason"]) for one in targets["items"]]
        return now

    def all(self, look: Callable[[OwnRoot], str]) -> set[str]:
        """What they all have."""
        return {look(machine) for machine in self.machines}


@pytest.fixture
async def fleet(
    request: pytest.FixtureRequest,
    sqlite_url: str,
    start_server: StartServer,
    operate: Operate,
    tmp_path: Path,
    apt: AptRepository,
) -> AsyncIterator[Fleet]:
    server = await start_server(sqlite_url)
    made = Fleet(await operate(server), tmp_path, request.param)
    keep_log(request.node, "the agents", lambda: "\n".join(agent.log[-1_500:] for agent in made.agents))
    (made.machines[-1].layer / "etc").mkdir()
    (made.machines[-1].layer / SICK.removeprefix("/")).touch()
    try:
        await made.start(server.url, apt)
        yield made
    finally:
        await made.end()


@pytest.fixture
def apt(tmp_path: Path) -> AptRepository:
    return AptRepository(tmp_path / "apt")


def package(number: int, version: str, **fields: Any) -> Manifest:
    wanted = {"name": f"{PREFIX}app", "state": "version", "version": version}
    return manifest("package", number, kind="package", install=None, detect=None, package=wanted, **fields)


async def archive(fleet: Fleet, number: int, **fields: Any) -> Manifest:
    """Version ``number``, which the server has."""
    body = archive_of({"VERSION": f"{number}"})
    announced = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "name": "app.tgz"}
    begun = await fleet.operator.ask("POST", "/artifacts/uploads", announced)
    sent = await fleet.operator.client.patch(
        f"/artifacts/uploads/{begun['id']}", content=body, headers={"upload-offset": "0"}
    )
    assert sent.is_success, sent.text
    into = {"artifact": "app.tgz", "into": INTO, "strip": 1}
    named = [artifact("app.tgz", body)]
    return manifest(
        "archive", number, kind="archive", install=None, detect=None, artifacts=named, archive=into, **fields
    )


async def packages(fleet: Fleet, apt: AptRepository, waves: list[str]) -> None:
    """One that is installed; then one that is not healthy in the last wave."""
    apt.add("app", "1.0")
    await fleet.deploy(package(1, "1.0"), waves, "succeeded")
    assert fleet.all(lambda one: one.package(f"{PREFIX}app")) == {"ii 1.0"}
    apt.add("app", "2.0")
    view = await fleet.deploy(package(2, "2.0", health=HEALTH), waves, "rolled_back")
    log = [one["text"] for one in (await fleet.operator.ask("GET", f"/deployments/{view['id']}/log"))["items"]]
    assert any(f"Wave {len(waves)} " in text for text in log) and any("1 device failed" in text for text in log), log
    assert view["counts"] == {"rolled_back": len(fleet.machines)}
    assert fleet.all(lambda one: one.package(f"{PREFIX}app")) == {"ii 1.0"}


async def archives(fleet: Fleet, waves: list[str]) -> None:
    """Installed, upgraded and rolled back by somebody."""
    await fleet.deploy(await archive(fleet, 1), waves, "succeeded")
    assert fleet.all(lambda one: one.text(f"{INTO}/VERSION")) == {"1"}
    view = await fleet.deploy(await archive(fleet, 2), waves, "succeeded")
    assert fleet.all(lambda one: one.text(f"{INTO}/VERSION")) == {"2"}
    await fleet.operator.ask("POST", f"/deployments/{view['id']}/rollback", {"note": "try it"})

    async def back() -> bool:
        return bool((await fleet.operator.ask("GET", f"/deployments/{view['id']}"))["state"] == "rolled_back")

    await eventually(back, within_s=OVER_S, what="the end of the rollback")
    assert fleet.all(lambda one: one.text(f"{INTO}/VERSION")) == {"1"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fleet", [2], indirect=True)
async def test_a_package_in_waves_and_back(fleet: Fleet, apt: AptRepository) -> None:
    await packages(fleet, apt, ["1", "100%"])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fleet", [20], indirect=True)
async def test_twenty_machines_in_waves_and_back(fleet: Fleet, apt: AptRepository) -> None:
    await packages(fleet, apt, ["1", "50%", "100%"])
    await archives(fleet, ["1", "50%", "100%"])
