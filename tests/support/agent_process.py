"""The real agent in a process of its own, as an operator would start it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.zygote import Forked

DEADLINE_S = 60.0
"""Long: a machine that is busy with other tests is no failure."""


def environment(state_dir: Path, **settings: Any) -> dict[str, str]:
    """This process's environment without any settings of DeployX but these (``server_url="…"``)."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    given = {f"DEPLOYX_{name.upper()}": str(value) for name, value in settings.items() if value is not None}
    return {
        **inherited,
        "XDG_CONFIG_HOME": str(state_dir / "config"),
        "DEPLOYX_STATE_DIR": str(state_dir),
        "PYTHONDEVMODE": "",  # any other value, 0 as well, would switch it on
        **given,
    }


class AgentProcess:
    """``deployx-agent run`` (or another command), its log, its end."""

    def __init__(self, process: asyncio.subprocess.Process | Forked) -> None:
        self.process = process
        self.lines: list[str] = []
        self.output = ""
        self._changed = asyncio.Condition()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(
        cls,
        env: dict[str, str],
        *arguments: str,
        program: Sequence[str] = ("-m", "deployx_agent"),
        under: Sequence[str] = (),
    ) -> "AgentProcess":
        """Start it, ``under`` another program such as strace."""
        return cls(
            await asyncio.create_subprocess_exec(
                *under,
                sys.executable,
                *program,
                *arguments,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            async with self._changed:
                self.lines.append(raw.decode().rstrip("\n"))
                self._changed.notify_all()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    async def logged(self, words: str, count: int = 1) -> None:
        """Wait until ``words`` stand in ``count`` lines."""
        async with asyncio.timeout(DEADLINE_S), self._changed:
            await self._changed.wait_for(lambda: sum(words in line for line in self.lines) >= count)

    async def end(self, number: int | None = None, within_s: float = DEADLINE_S) -> int:
        """Wait for the exit code, after sending the signal ``number`` if one is given."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(within_s):
            assert self.process.stdout is not None
            self.output = (await self.process.stdout.read()).decode()
            code = await self.process.wait()
            await self._reading
        return code

    async def tidy(self) -> None:
        if self.process.returncode is None:
            await self.end(signal.SIGKILL)


StartAgent = Callable[..., Awaitable[AgentProcess]]
"""``await start_agent("run", server_url=…)``."""


def read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_bytes())
    assert isinstance(content, dict)
    return content
