"""A process that is meant to run until we end it, and its log file, in which we read how it is doing."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import processes

_POLL_S = 0.05
_LARGEST_LOG = 5 << 20
_LAST_LINES = 12

Show = Callable[[str], None] | None


class Ended(Exception):
    """A service ended, or did not get anywhere. The message is for people; `output` is the end of its log."""

    def __init__(self, message: str, output: str = "", exit_code: int = 0) -> None:
        super().__init__(message)
        self.output = output
        self.exit_code = exit_code


class Service:
    """One process; what it wrote since it was started is in `text`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, start: int, show: Show) -> None:
        self.name = name
        self.log = log
        self.process = process
        self._start = start
        self._shown = 0
        self._show = show
        self._showing = asyncio.create_task(self._keep_showing()) if show else None

    @classmethod
    async def start(
        cls, name: str, command: processes.Command, env: Mapping[str, str], log: Path, *, show: Show = None
    ) -> "Service":
        """Start it, adding to `log`; `show` gets each line as well. Raises OSError."""
        with _append_to(log) as file:
            start = file.tell()  # before the child, which shares the position, writes anything
            return cls(name, await processes.start(command, env=env, output=file), log, start, show)

    @property
    def text(self) -> str:
        """What it has written so far."""
        with self.log.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace")

    async def says(self, pattern: str, deadline_s: float) -> re.Match[str]:
        """Wait until a whole line holds `pattern`. Raises Ended when it ends before, or takes too long."""
        give_up = asyncio.get_running_loop().time() + deadline_s
        while True:
            ended = self.process.returncode is not None  # asked first: what it wrote last is read then
            for line in self.text.splitlines(keepends=True):
                found = re.search(pattern, line) if line.endswith("\n") else None
                if found:
                    return found
            if ended:
                raise self._ended()
            if asyncio.get_running_loop().time() > give_up:
                raise Ended(f"The {self.name} said nothing of `{pattern}` in {deadline_s:.0f} s.", self.last_lines())
            await asyncio.sleep(_POLL_S)

    async def watch(self) -> None:
        """Wait for the end that nobody asked for. Raises Ended."""
        await self.process.wait()
        raise self._ended()

    async def end(self, patience_s: float) -> None:
        """Ask it to end, then make it."""
        await processes.end(self.process, patience_s)
        if self._showing:
            self._showing.cancel()
            self._show_more()

    def last_lines(self) -> str:
        """The end of what it wrote."""
        return "\n".join(self.text.splitlines()[-_LAST_LINES:])

    async def _keep_showing(self) -> None:
        while True:
            self._show_more()
            await asyncio.sleep(_POLL_S)

    def _show_more(self) -> None:
        lines = [line for line in self.text.splitlines(keepends=True) if line.endswith("\n")]
        for line in lines[self._shown :]:
            if self._show:
                self._show(f"{self.name:>9} │ {line.rstrip()}")
        self._shown = len(lines)

    def _ended(self) -> Ended:
        code = self.process.returncode or 0
        output = self.last_lines()
        sentence = output.rpartition("\n")[2]
        said, _, reason = sentence.partition(": ")
        if code > 0 and said == f"deployx-{self.name}" and reason:  # it knows why, and says it in one line
            return Ended(reason, exit_code=code)
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        return Ended(f"The {self.name} ended by itself, {how}. The end of its log:", output, code)


def _append_to(log: Path) -> BinaryIO:
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_name(log.name + ".old"))
    return open(log, "ab", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
