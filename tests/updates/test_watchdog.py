"""The watchdog sees a version to its registration, or goes back. The versions here are a few lines each."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployx_agent import VERSION
from deployx_agent.update import here, record
from deployx_agent.update.record import Record, Slot, Trial
from tests.support.agent_process import environment

CONFIRM = """
import json, os, pathlib
path = pathlib.Path(STATE) / "update" / "record.json"
found = json.loads(path.read_text())
found |= {"previous": found["current"], "current": found["trial"]["to"], "confirmed": found["trial"]["task_id"]}
found["trial"] = None
path.with_suffix(".new").write_text(json.dumps(found))
path.with_suffix(".new").replace(path)
"""
WAIT = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(0))\nsignal.pause()\n"


class Machine:
    """A state folder with two slots: `a` is what runs, `b` is on trial."""

    def __init__(self, state: Path) -> None:
        self.state, self.folder = state, state / here.FOLDER
        self.folder.mkdir(parents=True)
        self.process: subprocess.Popen[str] | None = None
        self.old, self.new = self._slot("a", "1.0"), self._slot("b", "2.0")
        self.server(answers=True)
        self.version("a", alone="print('the old one runs', flush=True)")

    @staticmethod
    def _slot(slot: str, version: str) -> Slot:
        return Slot(slot, version, 1, record.python_tag(), VERSION)

    def version(self, slot: str, *, watched: str = "", alone: str = "") -> None:
        """Put a version there that does just that."""
        package = here.site_of(self.folder, slot) / "deployx_agent" / "update"
        package.mkdir(parents=True, exist_ok=True)
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
        body = "".join(
            f"def {name}():\n"
            + "".join(f"    {line}\n" for line in (f"STATE = {str(self.state)!r}\n{text}").splitlines())
            for name, text in (("watched", watched or "return 0"), ("alone", alone or "return 0"))
        )
        (package / "entry.py").write_text(body)

    def server(self, *, answers: bool) -> None:
        """What the old version hears of it."""
        self.version("a")
        site = here.site_of(self.folder, "a") / "deployx_agent" / "update"
        # Of another length each, or what Python compiled of the one could still be taken for the other.
        (site / "probe.py").write_text("raise SystemExit(0)\n" if answers else "raise SystemExit(111)\n")
        self.version("a", alone="print('the old one runs', flush=True)")

    def trial(self, patience_s: float = 1.0, starts: int = 0) -> None:
        record.write(self.folder, Record(self.old, trial=Trial("task-1", self.new, patience_s, starts), highest=1))

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "deployx_agent", "run", "--state-dir", str(self.state)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment(self.state), start_new_session=True, **pipes)
        return self.process

    def run(self) -> tuple[int, str, str]:
        """Until it ends: exit code, output, log."""
        process = self.start()
        out, log = process.communicate(timeout=60)
        return process.returncode, out, log

    def found(self) -> Record:
        found = record.read(self.folder)
        assert found
        return found

    def until(self, condition: Any) -> None:
        give_up = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < give_up
            time.sleep(0.02)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "state")
    yield made
    if made.process and made.process.poll() is None:
        os.killpg(made.process.pid, signal.SIGKILL)  # the version it watches as well
        made.process.communicate(timeout=30)


def test_one_that_registers_stays_and_ends_as_it_wants(machine: Machine) -> None:
    machine.version("b", watched=f"{CONFIRM}\nreturn 7")
    machine.trial()
    assert machine.run()[0] == 7
    assert machine.found() == Record(machine.new, machine.old, confirmed="task-1", highest=1)
    machine.version("b", alone="print('the new one runs')\nreturn 0")
    assert machine.run()[:2] == (0, "the new one runs\n")  # from now on nothing is watched


def test_one_that_never_registers_gives_way_to_the_old_one(machine: Machine) -> None:
    machine.version("b", watched=WAIT)
    machine.trial()
    began = time.monotonic()
    code, out, log = machine.run()
    assert (code, out) == (0, "the old one runs\n"), log
    assert time.monotonic() - began < 30
    found = machine.found()
    assert found.failed and found.trial is None and found.current == machine.old
    assert (found.failed.task_id, found.failed.code) == ("task-1", "release_unconfirmed")
    assert "did not register within 1 s, though the server answers" in found.failed.reason
    assert machine.run()[1] == "the old one runs\n"  # it is not tried again


def test_one_that_ends_again_and_again_gives_way_too(machine: Machine) -> None:
    machine.version("b", watched="raise RuntimeError('no')")
    machine.trial(patience_s=60, starts=1)
    code, out, log = machine.run()
    assert (code, out, log.count("RuntimeError: no")) == (0, "the old one runs\n", 2), log
    failed = machine.found().failed
    assert failed and failed.code == "release_unhealthy" and "ended 3 times" in failed.reason


def test_a_server_that_does_not_answer_is_no_fault_of_the_new_one(machine: Machine) -> None:
    machine.server(answers=False)
    machine.version("b", watched=WAIT)
    machine.trial(patience_s=0.2)
    process = machine.start()
    assert process.stderr
    while "does not answer the version before either" not in (line := process.stderr.readline()):
        assert line
    assert machine.found().trial  # its time is over, and it goes on
    machine.server(answers=True)  # now it has its time, and does not use it
    assert process.communicate(timeout=60)[0] == "the old one runs\n"
    assert machine.found().failed


def test_one_that_the_server_puts_off_is_given_time(machine: Machine) -> None:
    said = json.dumps({"state": "retrying", "code": "server_busy"})
    later = f"import time, pathlib\npathlib.Path(STATE, 'status.json').write_text({said!r})\ntime.sleep(2)\n"
    machine.version("b", watched=f"{later}{CONFIRM}\nreturn 0")
    machine.trial(patience_s=0.3)
    assert machine.run()[0] == 0
    assert machine.found().current == machine.new


def test_asked_to_stop_it_stops_and_goes_on_at_the_next_start(machine: Machine) -> None:
    machine.version("b", watched=WAIT.replace("signal.pause()", "print('there', flush=True)\nsignal.pause()"))
    machine.trial(patience_s=60)
    process = machine.start()
    assert process.stdout and process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    trial = machine.found().trial
    assert trial and trial.starts == 0  # that was no failure
    machine.version("b", watched=f"{CONFIRM}\nreturn 0")
    assert machine.run()[0] == 0
    assert machine.found().current == machine.new


@pytest.mark.parametrize("change", ["base", "python"])
def test_what_was_installed_by_hand_since_comes_first(machine: Machine, change: str) -> None:
    def another(slot: Slot) -> Slot:
        return replace(slot, base="another") if change == "base" else replace(slot, python="another")

    new = another(machine.new)
    record.write(machine.folder, Record(machine.old, trial=Trial("task-1", new, 1.0)))
    assert machine.run()[1] == "the old one runs\n"
    found = machine.found()
    assert found.tries is None
    old = another(machine.old)
    assert Record(old).runs.slot == here.BASE and Record(machine.new, old).back is None


def test_the_next_version_never_lies_over_the_present_one(machine: Machine) -> None:
    base = Slot(here.BASE, VERSION)
    assert Record(base).free_slot() == "a"
    assert Record(machine.old, base).free_slot() == "b"
    assert Record(machine.new, machine.old).free_slot() == "a"
    assert Record(base, machine.old).free_slot() == "b"
