"""Real agents under a real server: a release comes in waves, its successor is sick on one machine and everything goes
back, and what each machine has is looked up on the machine.
"""

from pathlib import Path
from typing import Any

import pytest

from deployx_protocol.releases import Manifest
from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.fleet import Fleet
from tests.support.node import eventually
from tests.support.releases import envelope, manifest, previous
from tests.support.server_process import Operator

AGENTS = range(4)
WITHIN_S = 120.0
_HERE = r"""here=$(pwd | grep -o '^.*/agent-[0-9]*')"""
"""The state folder of the agent that runs the step: what is a machine's own, where all of them are on one."""


def app(number: int, *, sick_on: str = "", before: Manifest | None = None) -> Manifest:
    """Version ``number`` of an application that is one file, whose health fails where the folder ends so."""

    def step(shell: str) -> dict[str, Any]:
        return {"shell": f"{_HERE}; {shell}", "timeout_s": 20}

    health = {"check": step(f'case "$here" in *{sick_on}) exit 1;; esac'), "interval_s": 0.2, "within_s": 1.0}
    return manifest(
        "app",
        number,
        install=step(f'echo {number} > "$here/app"'),
        detect=step(f'grep -qx {number} "$here/app"'),
        timeout_s=120.0,
        **({"health": health} if sick_on else {}),
        **({"previous": previous(before)} if before else {}),
    )


def versions(fleet: Fleet) -> list[str]:
    """What is in place on each machine."""
    files = [Path(fleet.state_dir(number)) / "app" for number in AGENTS]
    return [file.read_text().strip() if file.exists() else "" for file in files]


async def deploy(operator: Operator, release: Manifest, **strategy: Any) -> str:
    """A deployment of ``release`` to all; its id."""
    made = await operator.ask("POST", "/releases", envelope(release))
    body = {"release": made["sha256"], "targets": {"selector": "*"}, "strategy": strategy}
    return str((await operator.ask("POST", "/deployments", body))["id"])


async def ended(operator: Operator, id: str) -> dict[str, Any]:
    """The deployment, when it is over."""

    async def look() -> dict[str, Any] | None:
        view: dict[str, Any] = await operator.ask("GET", f"/deployments/{id}")
        return view if view["finished_at"] else None

    view: dict[str, Any] = await eventually(look, within_s=WITHIN_S, what="the deployment's end")
    return view


@pytest.mark.timeout(600)
@pytest.mark.databases("sqlite")
async def test_real_agents_install_a_release_in_waves_and_go_back_when_its_successor_is_sick(
    database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=len(AGENTS))
    fleet = make_fleet(server.url, enrollment_token=token)
    await fleet.start_all(AGENTS)
    await operator.until(len(AGENTS), status="online", trust="trusted")

    first = app(1)
    view = await ended(operator, await deploy(operator, first, waves=["1", "50%", "100%"]))
    assert (view["state"], view["counts"]) == ("succeeded", {"succeeded": len(AGENTS)}), await _why(operator, view)
    assert versions(fleet) == ["1"] * len(AGENTS)

    second = app(2, sick_on=f"agent-{AGENTS[-1]:02}", before=first)
    view = await ended(operator, await deploy(operator, second, waves=["3", "100%"], on_failure="roll_back"))
    assert view["state"] == "rolled_back", await _why(operator, view)
    assert versions(fleet) == ["1"] * len(AGENTS), await _why(operator, view)
    log = [one["kind"] for one in (await operator.ask("GET", f"/deployments/{view['id']}/log"))["items"]]
    assert "rolling_back" in log and log[0] == "ended"


async def _why(operator: Operator, view: dict[str, Any]) -> list[str]:
    targets = (await operator.ask("GET", f"/deployments/{view['id']}/targets"))["items"]
    return [f"{one['device_name']}: {one['state']} {one['code']} {one['reason']}" for one in targets]
