"""`make cluster`: the shipped nginx file in front of two servers, and what becomes of runs when one is killed."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import cluster
from app.db import Database
from app.serve import allow_many_connections
from bootstrap import system
from deployx_protocol import events
from tests.support import people
from tests.support.node import eventually
from tests.support.peers import DashboardPeer
from tests.support.postgres import free_port
from tests.support.server_process import ADMIN, Operator, ServerProcess
from tests.support.simulated import Simulated, command

ROOT = Path(__file__).parents[2]
PASSES_S = 600.0
RUN_S = 15


def test_the_shipped_nginx_file_serves_several_servers(tmp_path: Path) -> None:
    text = cluster.nginx_conf(tmp_path, cluster.NGINX.read_text(), 8080, [8001, 8002])
    assert re.findall(r"^ *server (\S+)", text, re.MULTILINE) == ["127.0.0.1:8001", "127.0.0.1:8002", "{"]
    assert re.findall(r"listen (.+);", text) == ["127.0.0.1:8080 reuseport"]
    assert "ssl" not in text.replace("/etc/ssl", "")
    nginx = system.nginx()
    if nginx:
        path = tmp_path / "nginx.conf"
        path.write_text(text)
        done = subprocess.run(
            [str(nginx), "-t", "-p", str(tmp_path), "-c", str(path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def folder() -> Iterator[Path]:
    """Directly in the temp folder: under root, the user `postgres` could not enter pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="deployx-cluster-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.mark.soak
@pytest.mark.timeout(2_400)
@pytest.mark.parametrize("agents", [200, 10_000])
async def test_fault_22_a_server_behind_nginx_is_killed_under_simulated_agents(folder: Path, agents: int) -> None:
    """Half of them at each server. A run over all is started at the one that dies, and watched at the other."""
    allow_many_connections()
    async with clustered(folder) as (url, (dying, left), pid, db):
        admin = await people.signed_in(db, ADMIN)
        operators = [Operator(cast(ServerProcess, SimpleNamespace(url=at)), admin) for at in (url, dying, left)]
        anywhere, here, there = operators
        token = await anywhere.enrollment_token(max_uses=agents, origin=url)
        simulating = asyncio.create_task(_simulated(url, agents, admin.token, token))

        async def all_are_there() -> bool:
            assert not simulating.done(), simulating.result().said
            return bool((await anywhere.ask("GET", "/stats"))["online"] == agents)

        await eventually(all_are_there, within_s=PASSES_S, what="all agents")
        dashboard = await DashboardPeer(left, admin.token, batch=True).enter()
        body = {"command": ["sleep", str(RUN_S)], "targets": {"selector": "*"}, "timeout_s": 600}
        run = await here.ask("POST", "/runs", body)
        assert run["total"] == agents
        assert (await dashboard.call(events.WATCH_RUN, {"run_id": run["id"]}))["ok"]

        async def half_of_it_runs() -> bool:
            counts = (await here.ask("GET", f"/runs/{run['id']}"))["counts"]
            return bool(counts.get("running", 0) + counts.get("succeeded", 0) >= agents // 2)

        await eventually(half_of_it_runs, within_s=PASSES_S, what="the run")
        os.kill(pid, signal.SIGKILL)
        await dashboard.payload(events.RUNS_CHANGED, where=partial(_is_over, run["id"]), within_s=PASSES_S)
        assert (await there.ask("GET", f"/runs/{run['id']}"))["counts"] == {"succeeded": agents}
        simulated = await simulating
        assert simulated.verdict == {"L": 0, "D": 0, "U": 0, "P": 0}, simulated.said
        await dashboard.close()
        for operator in operators:
            await operator.client.aclose()


@contextlib.asynccontextmanager
async def clustered(folder: Path) -> AsyncIterator[tuple[str, list[str], int, Database]]:
    """`make cluster` in ``folder``: its address, those of its servers, the process id of the first, its database."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    port = free_port()
    own = {"DEPLOYX_DATA_DIR": str(folder / "cluster"), "DEPLOYX_PORT": str(port)}
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tools" / "cluster.py")], env=env | own, stdout=output, stderr=output
        )

    def is_there() -> bool:
        assert process.poll() is None, said.read_text()
        return "Ctrl-C ends all" in said.read_text()

    try:
        await eventually(is_there, within_s=PASSES_S, what="the cluster")
        servers = re.findall(r"(127\.0\.0\.1:\d+) \(process (\d+)\)", said.read_text())
        database = re.search(r"postgresql://\S+", said.read_text())
        assert database
        db = Database(database[0].replace("postgresql:", "postgresql+asyncpg:"), pool_size=2)
        yield f"http://127.0.0.1:{port}", [f"http://{at}" for at, _ in servers], int(servers[0][1]), db
        await db.close()
    finally:
        process.send_signal(signal.SIGINT)
        code = await asyncio.to_thread(process.wait, 120)
    assert code == 0, said.read_text()


def _is_over(run_id: str, told: dict[str, Any]) -> bool:
    return any(one["id"] == run_id and one["finished_at"] for one in told["runs"])


async def _simulated(url: str, agents: int, token: str, enrollment: str) -> Simulated:
    options = {"--url": url, "--agents": agents, "--seconds": 30, "--patience": PASSES_S}
    arguments = [str(word) for pair in options.items() for word in pair]
    code, out, said = await command(*arguments, "--json", DEPLOYX_TOKEN=token, DEPLOYX_ENROLLMENT_TOKEN=enrollment)
    figures: dict[str, Any] = json.loads(out) if out else {}
    return Simulated(code, figures, said)
