"""Signed releases from the shell, with a real server and a real machine whose policy asks for two signatures."""

import base64
import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import prepared
from tests.support.operators import write_policy
from tests.support.shell import DEADLINE_S, EMAIL, PASSWORD, RealServer, signed_in, until

pytestmark = pytest.mark.timeout(300)  # many processes, one after the other
WATCHED = ("--on", "*", "--watch", "--yes")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    server = RealServer(tmp_path / "server")
    (tmp_path / "server").mkdir()
    server.command("create-user", EMAIL, stdin=f"{PASSWORD}\n")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def machine(server: RealServer, deployx: Any, tmp_path: Path) -> Iterator[httpx2.Client]:
    """The API, for the operator, when the machine is there."""
    tables = [deployx("key", "create", name, "--no-passphrase").stdout for name in ("ada", "bob")]
    policy = write_policy(tmp_path / "policy.toml", 'releases = "signed"\nthreshold = 2', *tables)
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(server.api())
        token = api.post("/enrollment-tokens", json={"name": "guarded"}).json()["token"]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DEPLOYX_SERVER_URL": server.url}
        env |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        env |= {"DEPLOYX_STATE_DIR": str(tmp_path / "state"), "DEPLOYX_AGENT_ID": "guarded"}
        env |= {"DEPLOYX_ENROLLMENT_TOKEN": token, "DEPLOYX_POLICY": str(policy)}
        with Path(os.devnull).open("rb") as nothing, (tmp_path / "agent.log").open("ab") as log:
            agent = prepared.start("agent", ["run"], env, (nothing, log, log))
        stack.callback(agent.wait, DEADLINE_S)
        stack.callback(agent.terminate)
        until(lambda: api.get("/devices", params={"status": "online"}).json()["items"], "the machine to come")
        yield api


def forge(database: Path, key_ids: list[str]) -> None:
    """What the thief of a server can do: say that these have signed all there is."""
    sig = base64.b64encode(bytes(64)).decode()
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute(
            "UPDATE releases SET signatures = ?", [json.dumps([{"sig": sig, "keyid": id} for id in key_ids])]
        )


def why(deployx: Any) -> str:
    """The machine's word on the newest deployment."""
    [target] = json.loads(deployx("deployment", "show", "last", "--json").stdout)["targets"]
    return str(target["reason"])


def write(folder: Path, version: str, content: str) -> str:
    (folder / "shop.conf").write_text(content)
    path = folder / "deployx.yaml"
    path.write_text(
        f"name: shop\nversion: {version}\nplatforms: linux\nartifacts: [shop.conf]\n"
        f"file: {{artifact: shop.conf, path: {folder}/there/shop.conf}}\n"
    )
    return str(path)


def test_threat_03_two_operators_install_what_the_server_alone_cannot(
    machine: httpx2.Client, server: RealServer, deployx: Any, tmp_path: Path
) -> None:
    signed_in(deployx, server)
    folder = tmp_path / "work"
    (folder / "there").mkdir(parents=True)
    there = folder / "there" / "shop.conf"

    assert deployx("release", "create", write(folder, "1", "of the server")).returncode == 0
    refused = deployx("deploy", "shop@1", *WATCHED)
    assert (refused.returncode, there.exists()) == (1, False)
    assert "installs only releases that operators have signed" in refused.stderr
    forge(
        tmp_path / "server" / "deployx.db", re.findall(r"key id ([0-9a-f]{32})", (tmp_path / "policy.toml").read_text())
    )
    thief = deployx("deploy", "shop@1", *WATCHED)
    assert (thief.returncode, there.exists()) == (1, False)
    assert why(deployx) == "It needs 2 signatures of operators that this machine knows, and has none."

    kept = str(folder / "shop.release.json")
    path = write(folder, "2", "of two operators")
    assert deployx("release", "create", path, "--number", "2", "--sign", "ada", "--save", kept).returncode == 0
    assert deployx("release", "push", kept).returncode == 0
    assert deployx("release", "sign", "shop@2", "--key", "bob", "--yes").returncode == 0
    done = deployx("deploy", "shop@2", *WATCHED)
    assert (done.returncode, there.read_text()) == (0, "of two operators"), done.stderr
    shown = json.loads(deployx("release", "show", "shop@2", "--json").stdout)
    assert [(one["name"], one["good"]) for one in shown["signers"]] == [("ada", True), ("bob", True)]

    assert deployx("release", "sign", "shop@1", "--key", "ada", "--key", "bob", "--yes").returncode == 0
    back = deployx("deploy", "shop@1", *WATCHED)
    assert (back.returncode, there.read_text()) == (1, "of two operators")
    assert "a release never goes back" in back.stderr
