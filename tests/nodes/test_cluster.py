"""`make cluster`: the shipped nginx file in front of two servers, and what becomes of runs when one is killed."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import cluster
from app.db import Database
from bootstrap import system
from tests.support import people
from tests.support.node import eventually
from tests.support.postgres import free_port
from tests.support.server_process import ADMIN, Operator, ServerProcess
from tests.support.simulated import Simulated, command

ROOT = Path(__file__).parents[2]
PASSES_S = 600.0


def test_the_shipped_nginx_file_serves_several_servers(tmp_path: Path) -> None:
    text = cluster.nginx_conf(tmp_path, cluster.NGINX.read_text(), 8080, [8001, 8002])
    assert re.findall(r"^ *server (\S+)", text, re.MULTILINE) == ["127.0.0.1:8001", "127.0.0.1:8002", "{"]
    assert re.findall(r"listen (\S+);", text) == ["127.0.0.1:8080"]
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


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("agents", [200, 10_000])
async def test_fault_22_a_server_behind_nginx_is_killed_under_simulated_agents(tmp_path: Path, agents: int) -> None:
    """5,000 agents for each server: L = D = U = P = 0."""
    tmp_path.chmod(0o755)
    folder, port = tmp_path / "cluster", free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    own = {"DEPLOYX_DATA_DIR": str(folder), "DEPLOYX_PORT": str(port)}
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tools" / "cluster.py")], env=env | own, stdout=output, stderr=output
        )
    try:
        await eventually(lambda: "Ctrl-C ends all" in said.read_text(), within_s=PASSES_S, what="the cluster")
        url = f"http://127.0.0.1:{port}"
        database = re.search(r"postgresql://\S+", said.read_text())
        assert database
        db = Database(database[0].replace("postgresql:", "postgresql+asyncpg:"), pool_size=2)
        operator = Operator(cast(ServerProcess, SimpleNamespace(url=url)), await people.signed_in(db, ADMIN))
        token = await operator.enrollment_token(max_uses=agents, origin=url)
        simulating = asyncio.create_task(_simulated(url, agents, operator.person.token, token))

        async def all_are_there() -> bool:
            return bool((await operator.ask("GET", "/stats"))["online"] == agents)

        await eventually(all_are_there, within_s=PASSES_S, what="all agents")
        await asyncio.sleep(5)  # what is tested is that runs are under way
        os.kill(int(re.findall(r"process (\d+)", said.read_text())[0]), signal.SIGKILL)
        simulated = await simulating
        assert simulated.verdict == {"L": 0, "D": 0, "U": 0, "P": 0}, simulated.said
        await operator.client.aclose()
        await db.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 120) == 0, said.read_text()


async def _simulated(url: str, agents: int, token: str, enrollment: str) -> Simulated:
    arguments = ["--url", url, "--agents", str(agents), "--seconds", "30", "--patience", "600", "--json"]
    code, out, said = await command(*arguments, DEPLOYX_TOKEN=token, DEPLOYX_ENROLLMENT_TOKEN=enrollment)
    figures: dict[str, Any] = json.loads(out)
    return Simulated(code, figures, said)
