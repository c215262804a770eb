"""``deployx-agent run | enroll | status | policy check | install-service``; plain ``deployx-agent`` runs.

Standard library only, and each command imports what it needs: otherwise the options would cost most of the memory.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deployx_agent import VERSION, config, logs, settings_sources
from deployx_agent.exits import ConfigError, Exit
from deployx_agent.settings_sources import SETTINGS
from deployx_agent.update.here import Start
from deployx_protocol.codes import EXIT_CONFIG, EXIT_OK, EXIT_SOFTWARE

_NOT_RUNNING = 3  # what service managers and init scripts answer for "not running"


def options(arguments: Sequence[str]) -> dict[str, Any]:
    """What ``arguments`` say. Raises SystemExit for what is no command line."""
    return vars(_parser().parse_args(arguments))


def main(arguments: Sequence[str] | None = None, start: Start = Start.BY_HAND) -> int:
    """The exit code of the command in ``arguments``."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    said = options(words)
    command = said.pop("command") or "run"
    said["start"], said["words"] = start, words
    log = logs.set_up("INFO")
    try:
        settings = config.load(said)
        log = logs.set_up(settings.log_level)
        for sentence in settings_sources.misspelt_variables(os.environ):
            log.warning(sentence)
        code = _COMMANDS[command](settings, said, log)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read what we print has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exit as end:
        log.error(str(end))
        return end.code
    except KeyboardInterrupt:
        return EXIT_OK
    except Exception as error:  # through the log, which keeps tokens out of what is printed
        log.bug("A bug ended the agent; please report it", error)
        return EXIT_SOFTWARE


def _run(settings: config.Settings, options: dict[str, Any], log: logs.Log) -> int:
    start, words = options["start"], options["words"]
    if start is Start.BY_HAND and (settings.state_dir / "update").is_dir():
        from deployx_agent.update import launcher

        if (code := launcher.give_way(settings.state_dir, words, log)) is not None:
            return code
    from deployx_agent import agent

    code = agent.run(settings, log, start)
    if code is None and start is not Start.WATCHED:
        from deployx_agent.update import launcher

        return launcher.start_over(words)
    return code or EXIT_OK


def _enroll(settings: config.Settings, options: dict[str, Any], log: logs.Log) -> int:
    from deployx_agent import enrollment
    from deployx_agent.state.folder import StateFolder

    token = str(options["token"])
    token = sys.stdin.readline().strip() if token == "-" else token  # noqa: S105
    config.token_origin(token)
    server = config.resolve_server(settings, recorded="", pending_token=token, has_key=False)
    try:
        with StateFolder(settings.state_dir, log) as folder:
            spent = enrollment.read(folder.path, log).spent_sha256
            enrollment.write(folder.path, enrollment.Record(server, token, spent))
    except OSError as error:
        raise ConfigError(f"The token cannot be stored in {settings.state_dir} ({error.strerror}).") from None
    print(f"This machine will register with {server} at its next start.")
    print("Start it with `deployx-agent run`, or at every boot with `deployx-agent install-service`.")
    return EXIT_OK


def _status(settings: config.Settings, options: dict[str, Any], _log: logs.Log) -> int:
    from deployx_agent.state import folder, status

    content: dict[str, Any] = {"running": folder.is_held(settings.state_dir), **status.read(settings.state_dir)}
    if not content["running"] and "state" in content:
        content["last_state"] = content.pop("state")
    content["state_dir"] = str(settings.state_dir)
    if options["json"]:
        print(json.dumps(content, indent=2))
    else:
        print("The agent is running." if content["running"] else "The agent is not running.")
        for name, value in content.items():
            if name != "running" and value not in (None, ""):
                print(f"  {name.replace('_', ' '):12} {value}")
    return EXIT_OK if content["running"] else _NOT_RUNNING


def _install_service(settings: config.Settings, options: dict[str, Any], log: logs.Log) -> int:
    from deployx_agent import service

    definition = service.define(options["platform"] or sys.platform, settings)
    if options["print"]:
        print(definition.text, end="")
        return EXIT_OK
    if options["dry_run"]:
        print(service.describe(definition))
        return EXIT_OK
    if settings.enrollment_token:
        log.warning("The enrolment token is not written into the service; store it with `deployx-agent enroll`")
    service.install(definition, log)
    return EXIT_OK


def _policy(settings: config.Settings, options: dict[str, Any], _log: logs.Log) -> int:
    from deployx_agent.policy import check

    print("\n".join(check.described(options["file"].absolute() if options["file"] else settings.policy)))
    return EXIT_OK


_COMMANDS = {
    "run": _run,
    "enroll": _enroll,
    "status": _status,
    "policy": _policy,
    "install-service": _install_service,
}


class _Parser(argparse.ArgumentParser):
    """A wrong command line is a wrong configuration: exit code 78, where argparse has 2."""

    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(EXIT_CONFIG, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    settings = _Parser(add_help=False)
    group = settings.add_argument_group(
        "settings", "Each is also a DEPLOYX_… variable and a line in the settings file."
    )
    group.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="the settings file (TOML)")
    for setting in SETTINGS:
        if not setting.secret:
            flags: list[str] = [f"--{setting.name.replace('_', '-')}"]
            flags += ["--server"] if setting.name == "server_url" else []
            switch: dict[str, Any] = {"action": "store_const", "const": "1"} if setting.is_switch else {}
            group.add_argument(*flags, dest=setting.name, default=argparse.SUPPRESS, help=setting.help, **switch)

    parser = _Parser(
        prog="deployx-agent", description="Keeps this machine connected to its DeployX server.", parents=[settings]
    )
    parser.add_argument("--version", action="version", version=f"deployx-agent {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", parents=[settings], help="connect and stay connected (the default)")
    enroll = commands.add_parser("enroll", parents=[settings], help="store the token that admits this machine")
    enroll.add_argument(
        "token", metavar="TOKEN", help="from Add device in the dashboard; - reads it from standard input"
    )
    status = commands.add_parser("status", parents=[settings], help="whether the agent runs, and how its connection is")
    status.add_argument("--json", action="store_true", help="for programs")
    policy = commands.add_parser("policy", help="what the server may do on this machine")
    kinds = policy.add_subparsers(dest="policy_command", metavar="COMMAND", required=True)
    check = kinds.add_parser("check", parents=[settings], help="say it in plain words, or why the policy is unusable")
    check.add_argument("--file", type=Path, metavar="FILE", help="this file instead of the one that is in force")
    install = commands.add_parser("install-service", parents=[settings], help="start the agent at every boot")
    install.add_argument("--print", action="store_true", help="print the service definition, and do nothing")
    install.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    install.add_argument("--platform", choices=("linux", "darwin", "win32"), help=argparse.SUPPRESS)
    return parser
