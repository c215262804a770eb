"""The server is down while a fleet waits to confirm a release: what answers in its place keeps everybody, and where
nothing answers all go back, and the deployment stops to be looked at."""

import socket
from pathlib import Path
from typing import Any

import pytest

from app.deployments.planner import CORRELATED
from deployx_protocol.releases import Manifest
from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.authority import Authority
from tests.support.fleet import Fleet
from tests.support.node import eventually
from tests.support.releases import envelope, manifest
from tests.support.server_process import Operator
from tests.support.tls_front import front

AGENTS = range(4)
CONFIRM_S = 10
WITHIN_S = 300.0
_HERE = r"here=$(pwd | grep -o '^.*/agent-[0-9]*')"


class Machines:
    """Each has a file with the version that is in place; an install waits for the gate of its version."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self._fleet = fleet
        self._folder = folder

    def release(self, number: int) -> Manifest:
        """Which writes that file."""

        def step(shell: str) -> dict[str, Any]:
            return {"shell": f"{_HERE}; {shell}", "timeout_s": 300}

        waits = f'touch "$here/begun-{number}"; until [ -e {self._folder}/gate-{number} ]; do sleep 0.1; done'
        return manifest(
            "settings",
            number,
            install=step(f'{waits}; cp "$here/app" "$here/before" 2>/dev/null; echo {number} > "$here/app"'),
            detect=step(f'grep -qx {number} "$here/app"'),
            uninstall=step('cp "$here/before" "$here/app"'),
            timeout_s=1_000.0,
            confirm_s=CONFIRM_S,
        )

    def _files(self, name: str) -> list[Path]:
        return [self._fleet.state_dir(number) / name for number in AGENTS]

    async def begin(self, number: int) -> None:
        """All are in the middle of it."""
        await eventually(
            lambda: all(file.exists() for file in self._files(f"begun-{number}")),
            within_s=WITHIN_S,
            what="an install on each",
        )

    async def go_on(self, number: int) -> None:
        """They install it, and it is over for each, one way or the other."""
        (self._folder / f"gate-{number}").touch()

        def over() -> bool:
            said = [file.read_text() for file in self._files("releases/current.json")]
            return all('"stage": "over"' in text for text in said)

        await eventually(over, within_s=WITHIN_S, what="its end on each")

    def versions(self) -> set[str]:
        """That are in place."""
        return {file.read_text().strip() for file in self._files("app")}


async def deploy(operator: Operator, release: Manifest) -> str:
    made = await operator.ask("POST", "/releases", envelope(release))
    strategy = {"failure_threshold": "100", "waves": ["100%"]}
    body = {"release": made["sha256"], "targets": {"selector": "*"}, "strategy": strategy}
    return str((await operator.ask("POST", "/deployments", body))["id"])


async def in_state(operator: Operator, id: str, state: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        view: dict[str, Any] = await operator.ask("GET", f"/deployments/{id}")
        return view if view["state"] == state else None

    view: dict[str, Any] = await eventually(look, within_s=WITHIN_S, what=f"the deployment {state}")
    return view


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_server_that_is_down_reverts_nobody_while_its_address_answers(
    sqlite_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority").make()
    context = authority.issue("IP:127.0.0.1")
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    server = await start_server(sqlite_url, public_url=url, presence_grace=5)
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=len(AGENTS), origin=url)
    fleet = make_fleet(url, enrollment_token=token, ca_file=authority.certificate)
    machines = Machines(fleet, tmp_path)

    async with front(server, context, listening):
        await fleet.start_all(AGENTS)
        await operator.until(len(AGENTS), status="online", trust="trusted")
        first = await deploy(operator, machines.release(1))
        await machines.begin(1)
        await server.kill()
        await machines.go_on(1)
        assert machines.versions() == {"1"}, "the server is down, and its address answers: they stay"
        await server.start()
        view = await in_state(operator, first, "succeeded")
        assert view["counts"] == {"succeeded": len(AGENTS)}
        second = await deploy(operator, machines.release(2))
        await machines.begin(2)
        await server.kill()
    await machines.go_on(2)
    assert machines.versions() == {"1"}, "nothing answers: each has gone back by itself"
    async with front(server, context, socket.create_server(("127.0.0.1", port))):
        await server.start()
        view = await in_state(operator, second, "paused")
        assert "reached no server" in view["reason"], view
        assert view["counts"]["rolled_back"] >= CORRELATED
