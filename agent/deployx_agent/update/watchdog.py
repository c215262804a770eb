"""Sees a new version of the agent to its registration, and goes back to the one before if that does not come in time.

`python -m deployx_agent.update.watchdog STATE_DIR ARGUMENTS…`, instead of the agent, with the new one as its child,
which ends when its standard input does. It loads next to nothing, and trusts the child in nothing: the record says
whether it has registered. Where that takes too long, the *old* version is asked whether the server can be reached and
is ready (``probe``): a server that is down, or refuses everybody for now, is no fault of the new one, and its time
begins anew when it is back. Invariant: whatever ends this process, the record tells the next one how far it was.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from deployx_agent.state import durable
from deployx_agent.update import here, launcher, record
from deployx_agent.update.record import Record, Trial

STARTS_MAX = 3
"""So often a version is started that ends before it has registered."""
STOP_PATIENCE_S = 70.0
"""An agent that is stopped waits 30 s for what runs, and 20 s for the end of the rest."""
PROBE_EVERY_S = 5.0
PROBE_TIMEOUT_S = 30.0
POSTPONED_MAX = 10
"""So many times its patience a version may have if it says that the server puts it off, though it answers others."""
_LOOK_EVERY_S = 0.1
_START_AGAIN_S = 1.0
_UNAVAILABLE = 69
"""With what an agent exits that had no attempts left."""
_LATER = ("server_busy", "server_unavailable", "server_shutdown")
_CODE_SILENT = "release_unconfirmed"
_CODE_ENDED = "release_unhealthy"


class Watchdog:
    """Of one trial after the other, until the agent is asked to end, or ends by itself once it has registered."""

    def __init__(self, state_dir: Path, arguments: Sequence[str]) -> None:
        self._state_dir = state_dir
        self._folder = state_dir / here.FOLDER
        self._arguments = list(arguments)
        self._child: subprocess.Popen[bytes] | None = None
        self._stop = 0

    def run(self) -> int:
        """The exit code. It does not return when something is to run that needs no watching."""
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)
        while not self._stop:
            found = self._record()
            if found is None or found.tries is None:
                return launcher.start_over(self._arguments)
            code = self._try(found, found.tries)
            if code is not None:
                return code
        return 0

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop = number
        if self._child and self._child.poll() is None:
            self._child.send_signal(number)

    # ------------------------------------------------------------ one start

    def _try(self, found: Record, trial: Trial) -> int | None:
        """Start it once; the exit code if that is the end of it all."""
        site = launcher.site_in(self._folder, trial.to)
        if site is None and trial.to.slot != here.BASE:
            return self._give_up(_CODE_ENDED, f"Version {trial.to.version} is not on this machine any more.")
        self._write(found.started())
        _say("INFO", f"Version {trial.to.version} is started, and has {trial.patience_s:g} s to register")
        began = time.time()
        command = here.entry(site, "watched", *self._arguments)
        self._child = child = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - our own
        if self._stop:
            child.send_signal(self._stop)
        silent = self._until_registered(child, trial, began)
        if silent:
            self._end(child)
            if not self._is_confirmed(trial):
                return self._give_up(_CODE_SILENT, silent)
        elif child.poll() is None and not self._stop:
            _say("INFO", f"Version {trial.to.version} has registered")
        return self._after(trial, child.wait())

    def _until_registered(self, child: "subprocess.Popen[bytes]", trial: Trial, began: float) -> str:
        """Wait for that, or for its end; otherwise why it is given up."""
        deadline = time.monotonic() + trial.patience_s
        last = time.monotonic() + POSTPONED_MAX * trial.patience_s
        away = False
        while child.poll() is None and not self._stop and not self._is_confirmed(trial):
            now = time.monotonic()
            if now < deadline:
                time.sleep(_LOOK_EVERY_S)
            elif not self._server_answers():
                if not away:
                    _say("WARNING", "The server does not answer the version before either; the new one is given time")
                away, deadline = True, now + min(PROBE_EVERY_S, trial.patience_s)
            elif away:  # it is back: only now its time begins
                away, deadline = False, time.monotonic() + trial.patience_s
            elif now < last and self._was_put_off(began):
                deadline = now + min(trial.patience_s, PROBE_EVERY_S)
            else:
                return (
                    f"Version {trial.to.version} did not register within {trial.patience_s:g} s, though the server "
                    "answers; the version before it is back."
                )
        return ""

    def _after(self, trial: Trial, code: int) -> int | None:
        """It has ended; the exit code if that is the end of it all."""
        code = code if code >= 0 else 128 - code
        found = self._record()
        if found is None or found.trial is None or found.trial.task_id != trial.task_id:  # it had registered
            return None if found and found.tries and not self._stop else code
        if self._stop:
            self._write(found.started(-1))
            return code
        if code == _UNAVAILABLE and not self._server_answers():
            self._write(found.started(-1))
        elif found.trial.starts >= STARTS_MAX:
            said = f"ended {STARTS_MAX} times before it had registered, the last time with exit code {code}"
            return self._give_up(_CODE_ENDED, f"Version {trial.to.version} {said}; the version before it is back.")
        else:
            _say("WARNING", f"Version {trial.to.version} ended with exit code {code} before it had registered")
        self._pause(_START_AGAIN_S)
        return None

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        child.terminate()
        try:
            child.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _give_up(self, code: str, reason: str) -> int | None:
        """Nothing is on trial any more; the loop goes on with what was there before."""
        found = self._record()
        if found and found.trial:
            _say("ERROR", reason)
            self._write(found.giving_up(code, reason))
        return None

    # ------------------------------------------------------------ what it looks at

    def _server_answers(self) -> bool:
        """Whether the version before reaches the server, and hears that it is ready."""
        found = self._record()
        site = launcher.site_in(self._folder, found.runs) if found else None
        command = here.module_at(site, "deployx_agent.update.probe", *self._arguments)
        try:
            return subprocess.run(command, check=False, timeout=PROBE_TIMEOUT_S).returncode == 0  # noqa: S603 - our own
        except (OSError, subprocess.TimeoutExpired):
            return False

    def _was_put_off(self, began: float) -> bool:
        """Whether the new version says that the server has told it to come later. It only says so of an answer."""
        path = self._state_dir / "status.json"
        try:
            if path.stat().st_mtime < began:
                return False
            said = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(said, dict) and said.get("state") != "stopped" and said.get("code") in _LATER

    def _is_confirmed(self, trial: Trial) -> bool:
        found = self._record()
        return found is not None and found.confirmed == trial.task_id

    def _record(self) -> Record | None:
        try:
            return record.read(self._folder)
        except durable.Unusable:
            return None

    def _write(self, changed: Record) -> None:
        try:
            record.write(self._folder, changed)
        except OSError as error:
            _say("ERROR", f"The record of updates cannot be written ({error.strerror}); make room on its disk")
            self._pause(PROBE_EVERY_S)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stop and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)


def _say(level: str, words: str) -> None:
    """A line as the agent's log has them."""
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    sys.stderr.write(f"{at}.{int(now % 1 * 1000):03d}Z [{level}] {words}\n")
    sys.stderr.flush()


def main() -> int:
    """The exit code."""
    return Watchdog(Path(sys.argv[1]), sys.argv[2:]).run()


if __name__ == "__main__":
    sys.exit(main())
