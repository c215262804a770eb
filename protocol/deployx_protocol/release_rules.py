"""What may stand in a release besides its types: paths, names, arguments. Said once for who makes one and who obeys it.

Pure. Invariant: what is refused names the field, so that whoever wrote it can be shown the place.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from deployx_protocol import limits
from deployx_protocol.checks import InvalidPayload

PATH_MAX: Final = 1_024
ARGUMENTS_MAX: Final = 256
ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.()-]{0,127}")
_PLATFORM = re.compile(r"(linux|darwin|windows)(/[a-z0-9_]{1,32})?")
_OWNER = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?)?(?::[A-Za-z_][A-Za-z0-9_.-]{0,31})?")
_ARCHITECTURES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "aarch64": "arm64",
    "armv8l": "arm64",
    "i386": "x86",
    "i686": "x86",
}

_FOLDERS = {
    "/": "Applications Library Users Volumes bin boot etc home lib lib32 lib64 libx32 media mnt opt private root run "
    "sbin srv tmp usr var",
    "/usr/": "bin include lib lib32 lib64 libexec local sbin share src",
    "/usr/local/": "bin etc lib sbin share",
    "/var/": "cache lib log run spool tmp",
    "/etc/": "apt cron.d init.d pam.d ssh ssl sudoers.d systemd systemd/system yum.repos.d",
}
_WHOLE = frozenset({"/", *(above + name for above, names in _FOLDERS.items() for name in names.split())})
"""Folders that are not one release's: many things live there."""
_NEVER = ("/dev", "/proc", "/sys", "/System", "/etc/deployx-agent", "/var/lib/deployx-agent", "/opt/deployx-agent")
"""Nothing of a release goes in there: it is no disk, or it is what the agent and its policy are made of."""
_WINDOWS_WHOLE = frozenset({"", "program files", "program files (x86)", "programdata", "users", "windows"})
_WINDOWS_NEVER = ("windows", "programdata\\deployx agent", "program files\\deployx agent")


class InvalidField(InvalidPayload):
    """A rule was broken at ``field``, a name within the struct that was read."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def text(value: str, field: str, longest: int) -> None:
    """That ``value`` can be given to a program, and is not too long."""
    if "\x00" in value:
        raise InvalidField(field, f"`{field}` contains a NUL character, which no program can be given.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidField(field, f"`{field}` contains half of a surrogate pair, which is no text.") from None
    if size > longest:
        raise InvalidField(field, f"`{field}` has {size:,} bytes; at most {longest:,} are allowed.")


def arguments(words: Sequence[str], field: str) -> None:
    """That these can be the arguments of a program."""
    if len(words) > ARGUMENTS_MAX:
        raise InvalidField(field, f"`{field}` has {len(words)} parts; at most {ARGUMENTS_MAX} are allowed.")
    for word in words:
        text(word, field, limits.COMMAND_MAX_BYTES)
    if sum(len(word.encode()) + 1 for word in words) > limits.COMMAND_MAX_BYTES:
        raise InvalidField(field, f"`{field}` has more than {limits.COMMAND_MAX_BYTES:,} bytes; make it a script.")


def environment(env: dict[str, str]) -> None:
    """That these can be added to a program's environment."""
    if len(env) > limits.ENV_MAX:
        raise InvalidField("env", f"`env` has {len(env)} variables; at most {limits.ENV_MAX} are allowed.")
    for name, value in env.items():
        if not ENV_NAME.fullmatch(name):
            raise InvalidField("env", f"{name[:40]!r} cannot be the name of a variable: letters, digits and _ can.")
        text(value, "env", limits.ENV_MAX_BYTES)
    if sum(len(name) + len(value.encode()) + 2 for name, value in env.items()) > limits.ENV_MAX_BYTES:
        raise InvalidField("env", f"`env` has more than {limits.ENV_MAX_BYTES:,} bytes; put them into an artifact.")


def platforms(names: Sequence[str]) -> None:
    """That these are platforms, each once."""
    for name in names:
        if not _PLATFORM.fullmatch(name):
            raise InvalidField(
                "platforms",
                f"{name[:40]!r} is no platform; write linux, darwin or windows, alone or as in linux/x86_64.",
            )
    if len(set(names)) < len(names):
        raise InvalidField("platforms", "`platforms` names one of them twice.")


def fits(names: Sequence[str], platform: str, architecture: str) -> bool:
    """Whether a machine is one of the platforms ``names``. ``architecture`` as the machine calls it, in any case."""
    here = _architecture(architecture)
    for name in names:
        system, _, wanted = name.partition("/")
        if system == platform.lower() and (not wanted or _architecture(wanted) == here):
            return True
    return False


def _architecture(name: str) -> str:
    return _ARCHITECTURES.get(name.lower(), name.lower())


def place(path: str, field: str, names: Sequence[str], *, folder: bool) -> None:
    """That ``path`` can be where a release for the platforms ``names`` puts its file, or the ``folder`` it replaces."""
    systems = {name.partition("/")[0] == "windows" for name in names}
    if len(systems) > 1:
        raise InvalidField(field, f"`{field}` cannot be a path of Windows and of others; make a release for each.")
    text(path, field, PATH_MAX)
    if any(not character.isprintable() for character in path):
        raise InvalidField(field, f"`{field}` contains a character that cannot be shown.")
    (_windows if systems == {True} else _posix)(path, field, folder)


def _posix(path: str, field: str, folder: bool) -> None:
    if not path.startswith("/"):
        raise InvalidField(field, f"`{field}` has to be an absolute path, and {path[:80]!r} is not.")
    if str(PurePosixPath(path)) != path or ".." in path.split("/") or path.startswith("//"):
        raise InvalidField(field, f"`{field}` has to be written without `..`, `.` and needless slashes: {path[:80]!r}.")
    if any(path == one or path.startswith(f"{one}/") for one in _NEVER):
        raise InvalidField(field, f"`{field}` is {path[:80]!r}, where no release may put anything.")
    if path in _WHOLE:
        whose = "and would be replaced as a whole" if folder else "a folder of the system"
        raise InvalidField(field, f"`{field}` is {path!r}, {whose}; choose something of its own below it.")


def _windows(path: str, field: str, folder: bool) -> None:
    at = PureWindowsPath(path)
    if not (at.drive[1:] == ":" and at.root):
        raise InvalidField(field, f"`{field}` has to be an absolute path such as C:\\app, and {path[:80]!r} is not.")
    if str(at) != path or ".." in at.parts or any(part[-1] in ". " or ":" in part for part in at.parts[1:]):
        raise InvalidField(field, f"`{field}` has to be written without `..`, `.` and slashes: {path[:80]!r}.")
    below = path[3:].lower()
    if any(below == one or below.startswith(f"{one}\\") for one in _WINDOWS_NEVER):
        raise InvalidField(field, f"`{field}` is {path[:80]!r}, where no release may put anything.")
    if below in _WINDOWS_WHOLE:
        whose = "and would be replaced as a whole" if folder else "a folder of the system"
        raise InvalidField(field, f"`{field}` is {path!r}, {whose}; choose something of its own below it.")


def owner(name: str) -> None:
    """That ``name`` can be a file's owner: `user`, `user:group` or `:group`."""
    if not _OWNER.fullmatch(name):
        raise InvalidField("owner", f"{name[:40]!r} is no owner; write a user, or user:group.")
