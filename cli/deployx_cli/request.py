"""From the arguments of `deployx run` to the request that the server takes."""

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployx_cli.durations import seconds
from deployx_cli.errors import CommandError, WrongUsage

_STDIN = "-"


@dataclass(frozen=True, slots=True)
class Asked:
    """What someone typed. Empty text and None: nothing was said, the server decides."""

    words: list[str]
    on: str
    shell: bool = False
    script: str = ""
    interpreter: str = ""
    user: str = ""
    cwd: str = ""
    env: list[str] = field(default_factory=list)
    timeout: str = ""
    expires: str = ""
    max_parallel: int | None = None


def request_of(asked: Asked) -> dict[str, Any]:
    """The body of a run. Raises WrongUsage, and CommandError for a script that cannot be read."""
    request: dict[str, Any] = {**_what(asked), "targets": {"selector": asked.on}}
    given = {"user": asked.user, "cwd": asked.cwd, "max_parallel": asked.max_parallel}
    request |= {name: value for name, value in given.items() if value}
    if asked.env:
        request["env"] = dict(_pair(pair) for pair in asked.env)
    for name, option, span in (("timeout_s", "--timeout", asked.timeout), ("expires_s", "--expires", asked.expires)):
        if span:
            request[name] = seconds(span, option)
    return request


def _what(asked: Asked) -> dict[str, Any]:
    if asked.script:
        if asked.shell:
            raise WrongUsage("--shell and --script exclude each other; a script names its --interpreter.")
        said: dict[str, Any] = {"script": _read(asked.script), "args": asked.words}
        if asked.interpreter:
            said["interpreter"] = _split(asked.interpreter, "--interpreter")
        return said
    if asked.interpreter:
        raise WrongUsage("--interpreter goes with --script.")
    if not any(word.strip() for word in asked.words):
        raise WrongUsage("There is nothing to run: name a command, as in deployx run uptime --on '*', or a --script.")
    if asked.shell:
        return {"shell": " ".join(asked.words)}
    if len(asked.words) > 1:
        return {"command": asked.words}
    return {"command": _command(asked.words[0])}


def _command(line: str) -> list[str]:
    """The words of a command that was given as one. Raises WrongUsage where only a shell would do what it says."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split, lexer.commenters = True, ""
        signs = [word for word in lexer if word and not word.strip("|&;<>")]
    except ValueError:
        signs = []
    if signs:
        raise WrongUsage(
            f"{signs[0]} means something to a shell only. Add --shell to run this as a line of one, or pass the words "
            "one by one after --."
        )
    return _split(line, "the command")


def _split(text: str, what: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise WrongUsage(f"In {what} a quote is opened and not closed.") from None


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise WrongUsage(f"--env {text!r} has to be NAME=VALUE.")
    return name, value


def _read(name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == _STDIN else Path(name).read_bytes()
        return content.decode()
    except OSError as error:
        raise CommandError(f"The script cannot be read: {error}.") from None
    except UnicodeDecodeError:
        raise WrongUsage(f"{name} is not UTF-8 text; a script has to be.") from None
