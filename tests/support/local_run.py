"""`make run`'s program in a process of its own, as a terminal would start it, and what it printed."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DEADLINE_S = 60.0


class Run:
    """One `tools/run.py` and what it has printed."""

    def __init__(self, data_dir: Path, port: int, **settings: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
        inherited.pop("VERBOSE", None)
        own = {"DEPLOYX_DATA_DIR": str(data_dir), "DEPLOYX_PORT": str(port)}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tools" / "run.py")],
            env={**inherited, **own, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.data_dir = data_dir
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def until(self, condition: Callable[[], object], what: str) -> None:
        give_up = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < give_up, f"no {what}:\n{self.output}"
            time.sleep(0.05)

    def printed(self, words: str) -> str:
        """Wait for a line with `words`; the whole line."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [line for line in self.lines if words in line]
            assert found or self.process.poll() is None, self.output
            return bool(found)

        self.until(look, words)
        return found[0]

    def children(self) -> list[int]:
        """The process ids of the server and the agent."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for file in tasks for pid in file.read_text().split()]

    def end(self, number: int) -> int:
        """Send a signal, wait, and return the exit code with everything printed."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code


def is_alive(pid: int) -> bool:
    """Whether the process is there and not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


StartRun = Callable[..., Run]
