"""Signed runs from the shell, with a real server and a real machine whose policy asks for two signatures."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import prepared
from tests.support.operators import write_policy
from tests.support.shell import DEADLINE_S, EMAIL, PASSWORD, RealServer, signed_in, until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    server = RealServer(tmp_path / "server")
    (tmp_path / "server").mkdir()
    server.command("create-user", EMAIL, stdin=f"{PASSWORD}\n")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def policy(tmp_path: Path, deployx: Any) -> Path:
    """As root writes it, with what `deployx key create` prints."""
    tables = [deployx("key", "create", name, "--no-passphrase").stdout for name in ("ada", "bob")]
    return write_policy(tmp_path / "policy.toml", 'runs = "signed"\nthreshold = 2\nshell = false', *tables)


@pytest.fixture
def guarded(server: RealServer, policy: Path, tmp_path: Path) -> Iterator[httpx2.Client]:
    """The API, for the operator, when the machine is there."""
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(server.api())
        token = api.post("/enrollment-tokens", json={"name": "guarded"}).json()["token"]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DEPLOYX_SERVER_URL": server.url}
        env |= {"DEPLOYX_STATE_DIR": str(tmp_path / "state"), "DEPLOYX_AGENT_ID": "guarded"}
        env |= {"DEPLOYX_ENROLLMENT_TOKEN": token, "DEPLOYX_POLICY": str(policy)}
        with Path(os.devnull).open("rb") as nothing, (tmp_path / "agent.log").open("ab") as log:
            agent = prepared.start("agent", ["run"], env, (nothing, log, log))
        stack.callback(agent.wait, DEADLINE_S)
        stack.callback(agent.terminate)
        until(lambda: api.get("/devices", params={"status": "online"}).json()["items"], "the machine to come")
        yield api


def test_threat_03_two_operators_run_what_the_server_alone_cannot(
    guarded: httpx2.Client, server: RealServer, deployx: Any, tmp_path: Path
) -> None:
    signed_in(deployx, server)
    marker = tmp_path / "ran"
    command = ("run", f"sh -c 'echo x >> {marker}; echo done'", "--on", "*")

    refused = deployx(*command)
    assert refused.returncode == 1
    assert "1 device will refuse this" in refused.stderr
    assert "runs only what an operator has signed" in refused.stderr
    alone = deployx(*command, "--sign", "ada")
    assert alone.returncode == 1
    assert "It needs 2 signatures of operators that this machine knows, and has 1" in alone.stderr
    assert not marker.exists()

    kept = str(tmp_path / "run.json")
    saved = deployx(*command, "--sign", "ada", "--save", kept)
    assert (saved.returncode, saved.stdout) == (0, ""), saved.stderr
    assert "on 1 machine:" in saved.stderr
    added = deployx("key", "sign", kept, "--with", "bob", "--yes")
    assert added.returncode == 0, added.stderr
    assert f"echo x >> {marker}" in added.stderr
    done = deployx("run", "--signed", kept)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert marker.read_text() == "x\n"
    assert "will refuse" not in done.stderr

    again = deployx("run", "--signed", kept)
    assert again.returncode == 1
    assert "good for once" in again.stderr
    assert "deployx run --sign" in deployx("retry", "last").stderr
    [run] = guarded.get("/runs", params={"limit": "1"}).json()["items"]
    detail = guarded.get(f"/runs/{run['id']}").json()
    assert sorted(one["name"] for one in detail["signed_by"]) == ["ada", "bob"]
    changed = json.loads(Path(kept).read_text()) | {"command": ["reboot"]}
    Path(kept).write_text(json.dumps(changed))
    assert "What was signed is not what this request asks for" in deployx("run", "--signed", kept).stderr
    both = deployx(*command, "--sign", "ada", "--sign", "bob", "--timeout", "1m")
    assert (both.returncode, both.stdout) == (0, "done\n"), both.stderr
    assert marker.read_text() == "x\nx\n"
