"""What a simulated machine prints when it is asked to run something, and how long that takes.

Nothing is executed: no command that comes over the wire can do anything to the machine that the simulator is on.
"""

import random
import shlex
from dataclasses import dataclass

from app.sim.machine import Machine
from deployx_protocol.task_messages import STDERR, STDOUT, Task

_SLOW_SHARE = 0.05
_BROKEN_SHARE = 0.08
_PACKAGES = ("libssl3 3.0.15-1~deb12u1", "openssl 3.0.15-1~deb12u1", "tzdata 2026a-0+deb12u1", "vim-tiny 2:9.0.1378-2")
_MUCH_EVERY = 8
"""Of so many devices one has much to print when it is asked for a ``dump``: more than goes over the link."""
_BLOCK = bytes(range(256)) * 31


@dataclass(frozen=True, slots=True)
class Doing:
    """What a command is going to do: ``chunks`` (stream, data) while ``lasts_s`` passes, then ``exit_code``."""

    lasts_s: float
    exit_code: int
    chunks: list[tuple[int, bytes]]


def doing(machine: Machine, task: Task, script: bytes = b"") -> Doing:
    """What ``task`` does on ``machine``; the same every time. Of a script it is the first line without #."""
    dice = random.Random(f"{machine.agent_id}:{task.task_id}")  # noqa: S311 - a simulation that can be repeated
    words = _words(task, script)
    name, arguments = (words[0].rpartition("/")[2], words[1:]) if words else ("sh", [])
    match name:
        case "echo":
            return Doing(0.0, 0, _lines(STDOUT, " ".join(arguments)))
        case "false":
            return Doing(0.0, 1, [])
        case "true":
            return Doing(0.0, 0, [])
        case "sleep":
            return Doing(_seconds(arguments), 0, [])
        case "hostname":
            return Doing(0.01, 0, _lines(STDOUT, machine.hostname))
        case "uname":
            return Doing(0.01, 0, _lines(STDOUT, machine.platform))
        case "uptime":
            days, load = dice.randrange(1, 400), dice.random() * 2
            return Doing(0.02, 0, _lines(STDOUT, f" 14:02:11 up {days} days,  1 user,  load average: {load:.2f}"))
        case "df":
            share = dice.randrange(11, 97)
            used = 98 * share // 100
            row = f"/dev/sda1        98G  {used:3}G  {98 - used:3}G  {share:2}% /"
            return Doing(0.03, 0, _lines(STDOUT, "Filesystem      Size  Used Avail Use% Mounted on", row))
        case "apt-get":
            return _apt(dice)
        case "systemctl":
            active = dice.random() > _BROKEN_SHARE
            return Doing(0.02, 0 if active else 3, _lines(STDOUT, "active" if active else "inactive"))
        case "work":
            return _work(dice, machine)
        case "dump":
            return _dump(dice, machine)
        case _:
            return Doing(dice.uniform(0.05, 0.6), 0, _lines(STDOUT, f"{machine.hostname}: {name} done"))


def _apt(dice: random.Random) -> Doing:
    """Nothing to do on most machines, something on some; here and there somebody else is at it."""
    if dice.random() < _BROKEN_SHARE:
        lock = "/var/lib/dpkg/lock-frontend"
        held = f"E: Could not get lock {lock}. It is held by process 1187 (unattended-upgr)"
        return Doing(0.4, 100, _lines(STDERR, held, f"E: Unable to acquire the dpkg frontend lock ({lock})"))
    new = _PACKAGES[: dice.choice((0, 0, 0, 2, 4))]
    steps = ("Reading package lists", "Building dependency tree", "Reading state information", "Calculating upgrade")
    lines = [f"{step}... Done" for step in steps]
    for package in new:
        name, version = package.split()
        lines += [f"Unpacking {name} ({version}) ...", f"Setting up {name} ({version}) ..."]
    lines.append(f"{len(new)} upgraded, 0 newly installed, 0 to remove and 0 not upgraded.")
    return Doing(dice.uniform(0.2, 0.6) + 0.4 * len(new), 0, _lines(STDOUT, *lines))


def _work(dice: random.Random, machine: Machine) -> Doing:
    """Some output on both streams, not all of it text; slow or failing now and then."""
    chunks = [
        (STDERR if dice.random() < 0.2 else STDOUT, f"{machine.hostname} step {number} ".encode() + dice.randbytes(8))
        for number in range(dice.randrange(1, 12))
    ]
    lasts_s = dice.uniform(1.0, 4.0) if dice.random() < _SLOW_SHARE else dice.uniform(0.0, 0.3)
    return Doing(lasts_s, dice.choices((0, 1, 42), (8, 1, 1))[0], chunks)


def _dump(dice: random.Random, machine: Machine) -> Doing:
    """Large chunks on both streams, on some devices more of them than the preview holds."""
    much = int(machine.machine_id, 16) % _MUCH_EVERY == 0
    chunks = [
        (STDERR if number % 5 == 4 else STDOUT, f"{machine.hostname} {number} ".encode() + dice.randbytes(8) + _BLOCK)
        for number in range(dice.randrange(40, 56) if much else 4)
    ]
    return Doing(dice.uniform(0.0, 0.5), 0, chunks)


def _words(task: Task, script: bytes) -> list[str]:
    if task.argv is not None:
        return task.argv
    lines = (line for line in script.decode(errors="replace").splitlines() if line and not line.startswith("#"))
    line = next(lines, "") if task.script else task.shell
    try:
        return shlex.split(line or "")
    except ValueError:
        return []


def _seconds(arguments: list[str]) -> float:
    try:
        return min(max(float(arguments[0]), 0.0), 86_400.0)
    except (IndexError, ValueError):
        return 0.0


def _lines(stream: int, *lines: str) -> list[tuple[int, bytes]]:
    return [(stream, f"{line}\n".encode()) for line in lines]
