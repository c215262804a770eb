"""A real server, the command line, and agents that a service would start: a version in waves, a bad one, a thief."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deployx_agent import VERSION
from tests.support.shell import DEADLINE_S, EMAIL, PASSWORD, RealServer, bare_environment, until
from tests.support.update_wheels import Change, make_folder
from tests.updates.test_update import NEVER_REGISTERS, changed

COUNT = 3
Deployx = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    (tmp_path / "server").mkdir()
    server = RealServer(tmp_path / "server")
    server.command("create-user", EMAIL, stdin=f"{PASSWORD}\n")
    server.start()
    yield server
    server.stop()


class Operator:
    """With the command line, in a folder of their own."""

    def __init__(self, folder: Path, url: str, token: str, wheels: dict[str, Path]) -> None:
        folder.mkdir()
        self.folder, self._wheels = folder, wheels
        self._env = {**bare_environment(folder), "DEPLOYX_URL": url, "DEPLOYX_TOKEN": token}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).with_name("deployx")), *words]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 300}
        return subprocess.run(command, check=False, cwd=self.folder, env=self._env, **options)

    def must(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def begin(self) -> Path:
        self.must("key", "create", "own", "--no-passphrase")
        self.must("agent-update", "init", "--root", "own")
        self.must("agent-update", "root", "--save", "root.json")
        return self.folder / "root.json"

    def publish(self, version: str, change: Change | None = None) -> str:
        """What it is called on the server."""
        made = make_folder(self.folder / version, version, change, wheels=self._wheels)
        assert self.must("agent-update", "add", str(made), "--key", "own").strip() == version
        return self.must("agent-update", "push", version).strip()

    def deployed(self, called: str) -> dict[str, Any]:
        """The deployment, once nothing of it is under way any more."""
        self.must("deploy", called, "--on", "*", "--yes")

        def settled() -> dict[str, Any] | None:
            shown: dict[str, Any] = json.loads(self.must("deployment", "show", "last", "--json"))
            return shown if shown["deployment"]["state"] not in ("running", "awaiting_approval") else None

        found: dict[str, Any] = until(settled, "the deployment to stand still")
        return found


Fleet = tuple[Operator, Operator, httpx2.Client]


@pytest.fixture
def fleet(server: RealServer, tmp_path: Path, wheels: dict[str, Path]) -> Iterator[Fleet]:
    """The operator, a thief with all rights on the server, and the API; the machines trust the operator's root."""
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(server.api())
        token = api.post("/api-tokens", json={"name": "cli"}).json()["token"]
        ada = Operator(tmp_path / "ada", server.url, token, wheels)
        thief = Operator(tmp_path / "thief", server.url, token, wheels)
        root = ada.begin()
        thief.begin()
        enrol = api.post("/enrollment-tokens", json={"name": "fleet", "max_uses": COUNT}).json()["token"]
        for number in range(COUNT):
            state = tmp_path / f"state-{number}"
            env = {**bare_environment(state), "DEPLOYX_STATE_DIR": str(state), "DEPLOYX_ENROLLMENT_TOKEN": enrol}
            env |= {"DEPLOYX_MACHINE_ID": f"machine-{number}", "DEPLOYX_AGENT_ID": f"agent-{number}"}
            env |= {"DEPLOYX_UPDATE_ROOT": str(root), "DEPLOYX_UPDATE_PATIENCE": "10", "DEPLOYX_NO_SOFTWARE": "1"}
            env |= {"DEPLOYX_SERVER_URL": server.url, "DEPLOYX_RECONNECT_DELAY": "0.2"}
            log = stack.enter_context((tmp_path / f"agent-{number}.log").open("ab"))
            command = [sys.executable, "-m", "deployx_agent", "run"]
            agent = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
            stack.callback(agent.wait, DEADLINE_S)
            stack.callback(os.killpg, agent.pid, signal.SIGTERM)
        until(lambda: len(versions(api)) == COUNT, "the machines to come")
        yield ada, thief, api


def versions(api: httpx2.Client) -> list[str]:
    """Of the machines that are online."""
    items = api.get("/devices", params={"status": "online"}).json()["items"]
    return [one["agent_version"] for one in items]


def test_threat_19_a_fleet_follows_its_own_keys_and_no_server(fleet: Fleet) -> None:
    ada, thief, api = fleet
    done = ada.deployed(ada.publish("9.0.0"))
    assert done["deployment"]["state"] == "succeeded", done
    assert [wave["label"] for wave in done["deployment"]["waves"]] == ["1", "100%"]  # a tenth of three is one
    assert versions(api) == ["9.0.0"] * COUNT  # a device is done only when it has registered as that

    bad = ada.deployed(ada.publish("9.1.0", changed(NEVER_REGISTERS)))
    assert bad["deployment"]["state"] == "paused", bad
    [failed] = [one for one in bad["targets"] if one["state"] != "pending"]  # the canary, and nobody else
    assert (failed["state"], failed["outcome"]) == ("rolled_back", "reverted")
    assert "9.1.0 did not register within 10 s" in failed["reason"]
    ada.must("deployment", "abort", "last")
    until(lambda: versions(api) == ["9.0.0"] * COUNT, "the canary to be back")

    forged = thief.deployed(thief.publish("9.9.9"))
    tried = [one for one in forged["targets"] if one["state"] != "pending"]
    assert {one["code"] for one in tried} == {"release_untrusted"}, forged
    assert versions(api) == ["9.0.0"] * COUNT and VERSION != "9.0.0"
