"""`make dev`: the server and the dashboard with reload on both sides, and an agent for this machine.

Vite serves the dashboard and replaces changed modules in the page; the server and the agent are started again when
their code changes. A server that cannot start says why and waits for the next change. Ctrl-C ends all three.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import watchfiles

import processes
from bootstrap import node
from bootstrap.console import SetupError, complain
from bootstrap.places import FRONTEND, ROOT
from local import environment, terminal
from local.environment import Local
from local.machine import PATIENCE_S, LocalAgent, start_server
from local.service import Ended, Service
from local.stopping import until_asked

DASHBOARD = "http://127.0.0.1:5173"
_SERVER_CODE = [ROOT / "backend" / "app", ROOT / "backend" / "migrations", ROOT / "protocol"]
_AGENT_CODE = [ROOT / "agent" / "deployx_agent", ROOT / "protocol"]
_RETRY_S = "1"
_VITE_START_S = 60.0


def main() -> int:
    """The exit code: 0 after being asked to stop."""
    try:
        local = environment.prepare(
            {"DEPLOYX_RECONNECT_DELAY": _RETRY_S, "DEPLOYX_RECONNECT_ATTEMPTS": "0"} | os.environ
        )
        if local.server_env.get("DEPLOYX_PORT") == "0":
            raise Ended("`make dev` needs a port that stays the same: set DEPLOYX_PORT to another number than 0.")
        with environment.alone(local):
            return asyncio.run(_until_stopped(local, node.environment()))
    except Ended as error:
        terminal.explain(error)
    except (OSError, SetupError) as error:
        complain(f"DeployX cannot be started: {error}.")
    except KeyboardInterrupt:  # before there is a loop that handles it
        return 0
    return 1


async def _until_stopped(local: Local, node_env: dict[str, str]) -> int:
    failure = await until_asked(processes.stopping(), _work(local, node_env))
    if isinstance(failure, Exception):
        raise failure
    terminal.say("Stopped.")
    return 0


async def _work(local: Local, node_env: dict[str, str]) -> None:
    vite = await _start_vite(local, node_env)
    try:
        await processes.first_of(asyncio.create_task(vite.watch()), asyncio.create_task(_keep_server(local)))
    finally:
        await vite.end(PATIENCE_S)


async def _start_vite(local: Local, node_env: dict[str, str]) -> Service:
    port = local.server_env.get("DEPLOYX_PORT", "8000")
    program = shutil.which("node", path=node_env["PATH"]) or "node"
    command = [program, str(FRONTEND / "node_modules" / "vite" / "bin" / "vite.js"), str(FRONTEND), "--strictPort"]
    env = {**node_env, "DEPLOYX_DEV_SERVER": f"http://127.0.0.1:{port}", "NO_COLOR": "1"}
    vite = await Service.start("dashboard", command, env, local.data_dir / "vite.log", show=terminal.say)
    try:
        await vite.says("Local:", _VITE_START_S)
    except BaseException:
        await asyncio.shield(vite.end(PATIENCE_S))
        raise
    return vite


async def _keep_server(local: Local) -> None:
    """The server, again after every change of its code; with the first that starts, the agent."""
    agent: asyncio.Task[None] | None = None
    server: Service | None = None
    try:
        while True:
            changed = asyncio.create_task(_change(_SERVER_CODE))
            try:
                server, url, made_admin = await start_server(local, terminal.say)
                agent = agent or asyncio.create_task(_keep_agent(local, url, made_admin))
                await processes.first_of(asyncio.create_task(server.watch()), changed)
                terminal.say("The server's code changed: starting it again …")
            except Ended as error:
                terminal.explain(error)
                terminal.say("Waiting for a change of the server's code …")
                await changed
            finally:
                changed.cancel()
            if server:
                await server.end(PATIENCE_S)
                server = None
    finally:  # the agent first, so that the server hears why
        if agent:
            agent.cancel()
            await asyncio.gather(agent, return_exceptions=True)
        if server:
            await server.end(PATIENCE_S)


async def _keep_agent(local: Local, url: str, made_admin: bool) -> None:
    """The agent, again after every change of its code. What happens to it is on the terminal already."""
    agent = LocalAgent(local, url, terminal.say)
    first = True
    while True:
        changed = asyncio.create_task(_change(_AGENT_CODE))
        service: Service | None = None
        try:
            service = await agent.start(enrol=first and made_admin)
            if first:
                machine, trust = await agent.registered(service)
                terminal.say(terminal.welcome(local, DASHBOARD, made_admin=made_admin, machine=machine, trust=trust))
                first = False
            await changed
            terminal.say("The agent's code changed: starting it again …")
        except Ended as error:
            terminal.explain(error)
            await changed
        except asyncio.CancelledError:
            if first and made_admin:
                terminal.keep_password(local)
            raise
        finally:
            changed.cancel()
            if service:
                await asyncio.shield(service.end(PATIENCE_S))


async def _change(folders: list[Path]) -> None:
    """Wait until a Python file in one of the `folders` changes."""
    async for _ in watchfiles.awatch(*folders, watch_filter=watchfiles.PythonFilter()):
        return


if __name__ == "__main__":
    sys.exit(main())
