"""Starting the server, and enrolling and starting an agent for this very machine, so that it is trusted at once.

The enrolment token goes from the server's command to the agent's through a pipe: it is never an argument, which
everyone on the machine could read.
"""

import asyncio
import re
from collections.abc import Mapping

from bootstrap.places import BIN, ROOT
from deployx_agent import enrollment
from deployx_agent.state import status
from deployx_protocol.codes import EXIT_NOPERM
from local import terminal
from local.environment import Local
from local.service import Ended, Service, Show

START_S = 60.0
PATIENCE_S = 20.0
"""For how long either is waited for when it is asked to end."""
TOKEN_LIFETIME_S = 600
_REGISTERED = r"Registration successful .*\btrust=(\w+)"


async def start_server(local: Local, show: Show = None) -> tuple[Service, str, bool]:
    """The server, its address, and whether it made the first administrator just now. Raises Ended and OSError."""
    command = [str(BIN / "deployx-server"), "serve"]
    server = await Service.start("server", command, local.server_env, local.data_dir / "server.log", show=show)
    try:
        ready = await server.says(r"server\.started url=(\S+)", START_S)
    except BaseException:
        await asyncio.shield(server.end(PATIENCE_S))
        if _made_admin(server, local):
            terminal.keep_password(local)
        raise
    return server, ready[1], _made_admin(server, local)


def _made_admin(server: Service, local: Local) -> bool:
    return any("user.created" in line and local.admin_email in line for line in server.text.splitlines())


class LocalAgent:
    """The agent of this machine, for the server at `url`."""

    def __init__(self, local: Local, url: str, show: Show = None) -> None:
        self._show = show
        self._local = local
        self._url = url
        self._env = local.agent_env(url)

    async def start(self, *, enrol: bool) -> Service:
        """Start it, after enrolling it when `enrol` says so or it never was. Raises Ended and OSError."""
        if enrol or not enrollment.peek(self._local.agent_dir).spent_sha256:
            await self._enrol()
        command = [str(BIN / "deployx-agent"), "run"]
        return await Service.start("agent", command, self._env, self._local.data_dir / "agent.log", show=self._show)

    async def registered(self, service: Service) -> tuple[str, str]:
        """Wait until it is online; its name and how far it is trusted. Raises Ended."""
        trust = (await service.says(_REGISTERED, START_S))[1]
        return str(status.read(self._local.agent_dir).get("hostname", "")), trust

    async def _enrol(self) -> None:
        make = ["create-enrollment-token", "--name", "make run", "--expires-in-s", str(TOKEN_LIFETIME_S)]
        token = await _output([str(BIN / "deployx-server"), *make], self._local.at(self._url))
        await _output([str(BIN / "deployx-agent"), "enroll", "-"], self._env, token)


def was_refused(error: Ended) -> bool:
    """Whether the server turned the agent's credentials down: it does not know this key, or rejected it."""
    return error.exit_code == EXIT_NOPERM


async def _output(command: list[str], env: Mapping[str, str], sent: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        output, errors = await process.communicate(sent.encode())
    except asyncio.CancelledError:
        process.kill()
        await asyncio.shield(process.wait())
        raise
    if process.returncode:
        said = errors.decode(errors="replace").strip()
        reason = re.sub(r"^deployx-\w+: ", "", said.rpartition("\n")[2])
        raise Ended(f"This machine could not be enrolled: {reason}")
    return output.decode()
