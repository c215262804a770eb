"""Process groups of this machine: which process leads one, who is in it, and how to end it.

A process id alone says nothing about a process that an earlier agent started: ids are used again. So a leader is known
by its id *and* a mark (the boot and the time of its start), and a group whose leader is gone by the task's id in the
environment of its members. Invariant: a group that cannot be told to be ours is left alone.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from deployx_protocol.variables import PREFIX

PATIENCE_S = 5.0
"""Between TERM and KILL."""
_KILLED_WITHIN_S = 10.0
_STAT_MAX_BYTES = 4_096
TASK_VARIABLE = f"{PREFIX}TASK_ID"
LEADER_VARIABLE = f"{PREFIX}TASK_LEADER"
"""``PID@FOLDER``, in the environment of a task's processes: who leads them, and whose they are. Of a shell that does a
line itself, and of what it forks, the system knows the environment that its latch was made with: ``FOLDER`` alone, and
no task."""


def identify(pid: int) -> str:
    """A mark that no other process with this id has ever had; empty when there is no such process."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return f"{_boot_id()}:{fields[19]}" if fields else ""
    if sys.platform == "win32":
        query = f"(Get-Process -Id {pid}).StartTime.Ticks"
        return _said("powershell", "-NoProfile", "-Command", query)
    return _said("ps", "-o", "lstart=", "-p", str(pid))


def is_left_over(pgid: int, mark: str, task_id: str, owner: str) -> bool:
    """Whether the group ``pgid`` is still the one that was started for ``task_id`` of the agent whose folder is
    ``owner``, with a leader of this ``mark``."""
    now = identify(pgid)
    if now:
        return now == mark
    if sys.platform != "linux" or mark.partition(":")[0] != _boot_id():
        return False
    ours = {_variable(TASK_VARIABLE, task_id), _variable(LEADER_VARIABLE, owner)}
    return any(not ours.isdisjoint(_environment(pid)) for pid in members(pgid))


def rebooted(mark: str) -> bool:
    """Whether the machine was started anew since the process of ``mark`` ran, as far as can be told."""
    return sys.platform == "linux" and mark.partition(":")[0] != _boot_id()


def members(pgid: int) -> list[int]:
    """The processes of a group that have not ended; on systems without /proc the leader stands for all."""
    if sys.platform == "win32":
        return [pgid] if identify(pgid) else []
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return []
    except PermissionError:  # there, and not ours
        pass
    if sys.platform != "linux":
        return [pgid]
    return [pid for pid in _all() if (fields := _stat(pid)) and int(fields[2]) == pgid and fields[0] not in "ZX"]


def leaders(owner: str) -> dict[int, str]:
    """The processes that lead a task of the agent whose folder is ``owner``: process id → task id, empty for a shell
    that does a line itself. Linux only."""
    found = {}
    for pid in _all() if sys.platform == "linux" else []:
        variables = _environment(pid)
        if _variable(LEADER_VARIABLE, f"{pid}@{owner}") in variables:
            mark = _variable(TASK_VARIABLE, "")
            found[pid] = next((one[len(mark) :].decode() for one in variables if one.startswith(mark)), "")
        elif _variable(LEADER_VARIABLE, owner) in variables and _is_a_latch(pid):
            found[pid] = ""
    return found


async def end(pgid: int) -> bool:
    """TERM to the whole group, KILL to what is left of it after `PATIENCE_S`; whether all of it is gone."""
    _signal(pgid, "SIGTERM")
    if await _gone(pgid, PATIENCE_S):
        return True
    _signal(pgid, "SIGKILL")
    return await _gone(pgid, _KILLED_WITHIN_S)


async def _gone(pgid: int, within_s: float) -> bool:
    give_up, pause_s = time.monotonic() + within_s, 0.01
    while members(pgid):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.25)
    return True


def _signal(pgid: int, name: str) -> None:
    if sys.platform == "win32":
        _said("taskkill", "/T", *(("/F",) if name == "SIGKILL" else ()), "/PID", str(pgid))
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, getattr(signal, name))
        os.killpg(pgid, signal.SIGCONT)  # one that is stopped cannot obey


# ---------------------------------------------------------------- Linux


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, ppid, pgrp, session … starttime is [19]."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)  # for each start, at a third of what a file costs
        try:
            return os.read(descriptor, _STAT_MAX_BYTES).rpartition(b")")[2].decode().split()
        finally:
            os.close(descriptor)
    except OSError:
        return []


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _is_a_latch(pid: int) -> bool:
    """Or was one: it leads a session, as nothing that it forks does."""
    fields = _stat(pid)
    return bool(fields) and int(fields[3]) == pid and fields[0] not in "ZX"


def _variable(name: str, value: str) -> bytes:
    return f"{name}={value}".encode(errors="surrogateescape")


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@cache
def _boot_id() -> str:
    """Read once: no process outlives the boot that it was started in."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _said(*command: str) -> str:
    try:
        return subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False, text=True
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
