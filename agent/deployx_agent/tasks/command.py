"""From a task to what is executed: program, arguments, environment, folder, user; or why it cannot start.

What can be known before the start is found out here, so that it gets a code and a sentence instead of a shell's exit
code. Invariant: the environment is made from nothing; what the agent itself was started with is not passed on.
"""

import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from deployx_agent.tasks.processes import LEADER_VARIABLE, TASK_VARIABLE
from deployx_protocol.task_messages import Task
from deployx_protocol.tasks import TaskCode

SHELL = "/bin/sh"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WINDOWS_KEEPS = ("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATH", "PATHEXT", "TEMP", "TMP", "WINDIR", "PROGRAMDATA")


class CannotStart(Exception):
    """The task fails before it starts: a code, and a sentence that says what to do."""

    def __init__(self, code: TaskCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class User:
    """Whose rights a child gets."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Command:
    """What a child is started with."""

    argv: list[str]
    """Empty: a shell that becomes what it is told, or does it itself."""
    cwd: str
    env: dict[str, str]
    user: User | None = None
    """None: the agent's own."""
    options: dict[str, Any] = field(default_factory=dict)
    """For ``subprocess``: how it changes to that user."""


def user_of(task: Task) -> User | None:
    """The user that ``task`` is to run as, None for the agent's own. Raises CannotStart."""
    if not task.run_as:
        return None
    if sys.platform == "win32":
        raise CannotStart(TaskCode.NOT_PERMITTED, "On Windows a task runs as the agent's own user only.")
    import pwd

    try:
        entry = pwd.getpwnam(task.run_as)
    except KeyError:
        raise CannotStart(
            TaskCode.USER_NOT_FOUND, f"There is no user {task.run_as!r} on this machine; name one that it has."
        ) from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise CannotStart(
            TaskCode.NOT_PERMITTED, f"The agent does not run as root, so it cannot run a task as {task.run_as!r}."
        )
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)


def prepare(task: Task, script: Path | None, user: User | None, owner: str) -> Command:
    """How to start ``task`` of the agent whose folder is ``owner``; its script, if it is one, lies in ``script``.

    Raises CannotStart.
    """
    env = _environment(task.env, user, owner)
    env[TASK_VARIABLE] = task.task_id
    cwd = _folder(task.cwd, env)
    argv = _words(task, script)
    missing = TaskCode.INTERPRETER_NOT_FOUND if task.script else TaskCode.COMMAND_NOT_FOUND
    found = _program(argv[0], cwd, env, missing)
    if argv[0].startswith("-"):
        argv = [found, *argv[1:]]
    return Command(argv, cwd, env, user, _options(user) if user else {})


def plain(owner: str) -> Command:
    """What every task is started with that asks for nothing of its own, but for its command and its id."""
    env = _environment({}, None, owner)
    return Command([], _folder("", env), env)


def _words(task: Task, script: Path | None) -> list[str]:
    if [task.argv is None, task.shell is None, task.script is None].count(False) != 1:
        raise CannotStart(TaskCode.START_FAILED, "The task must be one of a command, a shell line and a script.")
    if task.shell is not None:
        if sys.platform == "win32":
            return [os.environ.get("COMSPEC", "cmd.exe"), "/d", "/s", "/c", task.shell]
        return [SHELL, "-c", task.shell]
    if task.script is not None:
        words = [*task.script.interpreter, str(script), *task.script.args]
        if not task.script.interpreter:
            raise CannotStart(TaskCode.START_FAILED, "The script names no interpreter, such as `bash` or `python3`.")
        return words
    if not task.argv or not task.argv[0]:
        raise CannotStart(TaskCode.START_FAILED, "The command is empty; name a program.")
    return task.argv


def _environment(own: dict[str, str], user: User | None, agent: str) -> dict[str, str]:
    for name in own:
        if not _NAME.fullmatch(name):
            raise CannotStart(
                TaskCode.START_FAILED,
                f"{name!r} cannot name a variable: only letters, digits and _ can, and no digit comes first.",
            )
    if sys.platform == "win32":
        base = {name: os.environ[name] for name in _WINDOWS_KEEPS if name in os.environ}
    else:
        base = _base(user) if user else _own_base()
    return {**base, **own, LEADER_VARIABLE: agent}


@lru_cache(8)
def _base(user: User) -> dict[str, str]:
    return {
        "PATH": _PATH,
        "HOME": user.home,
        "USER": user.name,
        "LOGNAME": user.name,
        "SHELL": user.shell or SHELL,
        "LANG": os.environ.get("LANG") or "C.UTF-8",
    }


@cache
def _own_base() -> dict[str, str]:
    """Made once: it is asked for each task, and who the agent is does not change while it runs."""
    return _base(_own_user())


def _own_user() -> User:
    import pwd

    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:  # in a container a user need not have a name
        return User(str(os.geteuid()), os.geteuid(), os.getegid(), "/", SHELL)
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)


def _folder(wanted: str, env: dict[str, str]) -> str:
    home = env.get("HOME") or env.get("SYSTEMDRIVE", "/")
    if not wanted:
        return home if os.path.isdir(home) else "/"  # noqa: PTH112 - for each start, at a fifth of the cost
    cwd = Path(home) / wanted
    if not cwd.is_dir():
        raise CannotStart(TaskCode.CWD_NOT_FOUND, f"There is no folder {str(cwd)!r} on this machine.")
    return str(cwd)


def _program(name: str, cwd: str, env: dict[str, str], missing: TaskCode) -> str:
    path = env.get("PATH", _PATH)
    if "/" in name or (sys.platform == "win32" and os.path.dirname(name)):  # noqa: PTH120
        path, name = "", os.path.join(cwd, name)  # noqa: PTH118
    found = _which(name, path)
    if found:
        return found
    if os.path.dirname(name) and Path(name).exists():  # noqa: PTH120
        raise CannotStart(TaskCode.NOT_PERMITTED, f"{name!r} cannot be executed; check what it is and its mode.")
    raise CannotStart(missing, f"There is no program {name!r} on this machine (searched in {path or cwd}).")


def _which(name: str, path: str) -> str | None:
    """As `shutil.which`, which costs several times as much."""
    if sys.platform == "win32":
        return shutil.which(name, path=path)
    for folder in path.split(os.pathsep):
        found = f"{folder}/{name}" if folder else name
        if os.access(found, os.X_OK) and not os.path.isdir(found):  # noqa: PTH112
            return found
    return None


def _options(user: User) -> dict[str, Any]:
    return {"user": user.uid, "group": user.gid, "extra_groups": os.getgrouplist(user.name, user.gid)}
