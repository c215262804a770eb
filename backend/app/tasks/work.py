"""What a request asks for, checked and brought into one form: ``work_of`` is pure.

Every refusal is an InvalidInput with a code of its own and a sentence that says what to do.
"""

import hashlib
import json
import re
import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from app.errors import InvalidInput
from app.tasks.schemas import DEVICE_IDS_MAX, Action
from deployx_protocol import checks, limits

TITLE_MAX = 200
USER_MAX = 128
CWD_MAX = 4_096
INTERPRETER_MAX = 16
MESSAGE_SHARE_BYTES = 49_152
"""What a task's command, arguments and environment may take of a message to its agent, as JSON."""
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.()-]{0,127}")


@dataclass(frozen=True, slots=True)
class Work:
    """What a run's tasks do. Exactly one of ``argv``, ``shell`` and ``script`` is set."""

    kind: str
    title: str
    argv: list[str] | None
    shell: str | None
    script: bytes | None
    interpreter: list[str]
    args: list[str]
    run_as: str
    cwd: str
    env: dict[str, str]
    timeout_s: float
    expires_s: float
    max_parallel: int | None
    output_quota_bytes: int

    @property
    def script_sha256(self) -> str | None:
        """Of the script's bytes, hexadecimal."""
        return None if self.script is None else hashlib.sha256(self.script).hexdigest()


def work_of(action: Action, default_quota_bytes: int) -> Work:
    """The work that ``action`` describes. Raises InvalidInput."""
    _check_text(action)
    kind, title, interpreter = _what(action)
    if action.script is None and (action.interpreter or action.args):
        raise InvalidInput("`interpreter` and `args` go with a script only.", code="interpreter_without_script")
    _check_where(action)
    _check_env(action.env)
    _check_numbers(action)
    _check_size(action, interpreter)
    quota = default_quota_bytes if action.output_quota_bytes is None else action.output_quota_bytes
    return Work(
        kind=kind,
        title=title,
        argv=action.command,
        shell=action.shell,
        script=None if action.script is None else action.script.encode(),
        interpreter=interpreter,
        args=action.args,
        run_as=action.user,
        cwd=action.cwd,
        env=action.env,
        timeout_s=action.timeout_s,
        expires_s=action.expires_s,
        max_parallel=action.max_parallel,
        output_quota_bytes=quota,
    )


def asks_for_something(action: Action) -> bool:
    """Whether ``action`` says what to run at all."""
    return (action.command, action.shell, action.script) != (None, None, None)


def _check_text(action: Action) -> None:
    single = {"shell": action.shell, "script": action.script, "user": action.user, "cwd": action.cwd}
    lists = {"command": action.command or [], "interpreter": action.interpreter, "args": action.args}
    texts = [*single.items()]
    texts += [(name, part) for name, parts in lists.items() for part in parts]
    texts += [("env", part) for pair in action.env.items() for part in pair]
    for name, text in texts:
        check_characters(name, text or "")


def check_characters(name: str, text: str) -> None:
    """Raises InvalidInput for what neither a program nor a database can be given."""
    if "\x00" in text:
        raise InvalidInput(f"`{name}` contains a NUL character, which no program can be given.", code="nul_byte")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"`{name}` contains half of a surrogate pair, which is no text.", code="not_text") from None


def _what(action: Action) -> tuple[str, str, list[str]]:
    """The kind, the title and the interpreter."""
    if sum(one is not None for one in (action.command, action.shell, action.script)) > 1:
        raise InvalidInput("Send one of `command`, `shell` and `script`, not several.", code="ambiguous_command")
    if action.command is not None:
        if not action.command or not action.command[0].strip():
            raise _empty("`command` names no program")
        _check_bytes("command", action.command)
        return "command", _title(shlex.join(action.command)), []
    if action.shell is not None:
        if not action.shell.strip():
            raise _empty("`shell` is empty")
        _check_bytes("shell", [action.shell])
        return "shell", _title(action.shell), []
    if action.script is None:
        raise _empty("Nothing to run was sent")
    return "script", *_script(action.script, action.interpreter)


def _script(text: str, interpreter: list[str]) -> tuple[str, list[str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise _empty("The script is empty")
    size = len(text.encode())
    if size > limits.SCRIPT_MAX_BYTES:
        raise InvalidInput(
            f"The script has {size:,} bytes; at most {limits.SCRIPT_MAX_BYTES:,} are allowed.", code="script_too_large"
        )
    if not interpreter and lines[0].startswith("#!"):
        interpreter = lines[0].removeprefix("#!").split(maxsplit=1)
    if not interpreter or not interpreter[0].strip():
        raise InvalidInput(
            'Say what runs the script: an `interpreter` such as ["bash"], or a first line that begins with #!.',
            code="no_interpreter",
        )
    if len(interpreter) > INTERPRETER_MAX:
        raise InvalidInput(f"`interpreter` has more than {INTERPRETER_MAX} parts.", code="command_too_long")
    first = next((line for line in lines if not line.startswith("#!")), lines[0])
    return _title(first), interpreter


def _empty(what: str) -> InvalidInput:
    return InvalidInput(f"{what}; say what to run: `command`, `shell` or `script`.", code="empty_command")


def _check_bytes(name: str, parts: list[str]) -> None:
    size = sum(len(part.encode()) + 1 for part in parts) - 1
    if size > limits.COMMAND_MAX_BYTES:
        raise InvalidInput(
            f"`{name}` has {size:,} bytes; at most {limits.COMMAND_MAX_BYTES:,} are allowed. "
            f"Send it as a `script`, which may have {limits.SCRIPT_MAX_BYTES:,}.",
            code="command_too_long",
        )


def _check_where(action: Action) -> None:
    if action.user:
        try:
            checks.printable(action.user, "user", USER_MAX)
        except checks.InvalidPayload as error:
            raise InvalidInput(str(error), code="invalid_user") from None
    if not action.cwd:
        return
    absolute = PurePosixPath(action.cwd).is_absolute() or PureWindowsPath(action.cwd).is_absolute()
    if not absolute or len(action.cwd) > CWD_MAX or not action.cwd.isprintable():
        raise InvalidInput(
            f"`cwd` has to be an absolute path, such as /srv, of at most {CWD_MAX:,} characters.", code="invalid_cwd"
        )


def _check_env(env: dict[str, str]) -> None:
    if len(env) > limits.ENV_MAX:
        raise InvalidInput(f"`env` has {len(env)} entries; at most {limits.ENV_MAX} are allowed.", code="invalid_env")
    for name in env:
        if not _ENV_NAME.fullmatch(name):
            raise InvalidInput(
                f"`env` has the name {name[:40]!r}; a name begins with a letter or _ and goes on with letters, digits "
                "and _ . ( ) -.",
                code="invalid_env",
            )
    size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in env.items())
    if size > limits.ENV_MAX_BYTES:
        raise InvalidInput(
            f"`env` has {size:,} bytes; at most {limits.ENV_MAX_BYTES:,} are allowed.", code="invalid_env"
        )


def _check_numbers(action: Action) -> None:
    days = "7 days", "30 days"
    if not 1 <= action.timeout_s <= limits.RUN_TIMEOUT_MAX_S:
        raise InvalidInput(f"`timeout_s` has to be 1 second to {days[0]}.", code="timeout_out_of_range")
    if not 1 <= action.expires_s <= limits.RUN_EXPIRES_MAX_S:
        raise InvalidInput(f"`expires_s` has to be 1 second to {days[1]}.", code="expires_out_of_range")
    if action.max_parallel is not None and not 1 <= action.max_parallel <= DEVICE_IDS_MAX:
        raise InvalidInput(
            f"`max_parallel` has to be 1 to {DEVICE_IDS_MAX:,}, or null for no limit.",
            code="max_parallel_out_of_range",
        )
    quota = action.output_quota_bytes
    if quota is not None and not 0 <= quota <= limits.OUTPUT_QUOTA_MAX_BYTES:
        raise InvalidInput(
            f"`output_quota_bytes` has to be 0 to {limits.OUTPUT_QUOTA_MAX_BYTES:,}, or null for the server's setting.",
            code="output_quota_out_of_range",
        )


def _check_size(action: Action, interpreter: list[str]) -> None:
    sent = [action.command, action.shell, interpreter, action.args, action.env, action.cwd, action.user]
    size = len(json.dumps(sent))  # with every escape that any JSON writer could make
    if size > MESSAGE_SHARE_BYTES:
        raise InvalidInput(
            f"Command, arguments and environment have {size:,} bytes on their way to a device; at most "
            f"{MESSAGE_SHARE_BYTES:,} are allowed. Put what is long into a `script`.",
            code="command_too_long",
        )


def _title(text: str) -> str:
    """One line that can be shown: line breaks and what cannot be seen become spaces."""
    shown = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    line = " ".join(shown.split())
    return line if len(line) <= TITLE_MAX else f"{line[: TITLE_MAX - 1]}…"
