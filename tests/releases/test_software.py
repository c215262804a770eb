"""A real agent tells a real server what is installed on its machine, and the server knows who has it."""

from pathlib import Path

import pytest

from tests.conftest import Operate, StartServer
from tests.support.agent_process import AgentProcess, environment

AT_ONCE = """
import sys
from deployx_agent.cli import main
from deployx_agent.software import reporter
reporter.FIRST_S = 0.0
sys.exit(main())
"""
"""The agent as it is, but that it does not wait until a fleet that returns with it has spread."""
STATUS = "Package: openssl\nStatus: install ok installed\nVersion: 3.0.11-1~deb12u2\nArchitecture: amd64\n"


@pytest.mark.databases("sqlite")
async def test_what_is_installed_is_known_and_found(
    tmp_path: Path, database_url: str, start_server: StartServer, operate: Operate
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    root, state = tmp_path / "root", tmp_path / "state"
    (root / "var/lib/dpkg").mkdir(parents=True)
    state.mkdir(mode=0o700)
    (root / "var/lib/dpkg/status").write_text(STATUS)
    token = await operator.enrollment_token()
    env = environment(
        state, server_url=server.url, facts_root=root, machine_id="m", agent_id="m", enrollment_token=token
    )
    agent = await AgentProcess.start(env, "run", program=("-c", AT_ONCE))
    try:
        await agent.logged("Software reported")
    finally:
        await agent.tidy()

    async def has(query: str) -> list[list[str]]:
        page = await operator.ask("GET", "/software/devices", params={"q": query})
        return [one["found"] for one in page["items"]]

    assert await has("openssl<3.0.13") == [["openssl 3.0.11-1~deb12u2 (amd64)"]]
    assert await has("openssl>=3.0.13") == []
    [device] = await operator.devices()
    known = await operator.ask("GET", f"/devices/{device['id']}/software")
    assert (known["packages"], known["sources"], known["items"][0]["name"]) == (1, ["dpkg"], "openssl")
