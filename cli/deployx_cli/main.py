"""The commands, their options, and the one place where a failure becomes a sentence and an exit code."""

import os
import signal
import sys
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from deployx_cli import (
    __version__,
    artifact_commands,
    audit,
    completing,
    deploy_commands,
    deployment_commands,
    devices,
    key_commands,
    login,
    output,
    parameters,
    release_commands,
    run_commands,
    schedule_commands,
    sim,
    software_commands,
    update_commands,
)
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, CommandError

_HELP = """See the machines of a DeployX server, run commands on them, and bring releases to them.

Which devices are meant is said by a selector, a list of conditions that all have to hold:
`platform=linux,role in (web,db),env!=prod,!laptop`. Keys are id, name, hostname, platform, status, agent_id, trust, os,
arch, version, owner and group; any other is a tag. `*` in a value stands for anything, and alone for every device.
"""
_EPILOG = """**Examples**

`deployx login --url https://deployx.example.com`

`deployx devices --on 'status=offline,role=web'`

`deployx run uptime --on 'platform=linux'`

`deployx output last --follow`

**Completion** for bash, zsh and fish: `deployx --install-completion`, then start a new shell.

**Environment**: `DEPLOYX_URL` and `DEPLOYX_TOKEN` take the place of a stored login; `NO_COLOR` leaves colours out.

**Exit codes**: 0 done, 1 failed, 2 wrong usage, 3 failed on some devices, 69 server unreachable, 77 not allowed,
130 after Ctrl-C.
"""

app = typer.Typer(
    name="deployx",
    help=_HELP,
    epilog=_EPILOG,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Status(StrEnum):
    """What a device's link is."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Trust(StrEnum):
    """What a device may be given."""

    PENDING = "pending"
    TRUSTED = "trusted"
    UNVERIFIED = "unverified"
    QUARANTINED = "quarantined"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deployx {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(
    "login",
    epilog="Examples:\n\n`deployx login --url https://deployx.example.com`\n\n"
    '`echo "$PASSWORD" | deployx login --url https://deployx.example.com --email me@example.com`\n\n'
    "`deployx login --url https://deployx.example.com --token - < token.txt`",
)
def login_command(
    url: Annotated[str, typer.Option(envvar="DEPLOYX_URL", help="The server's address.")] = "",
    email: Annotated[str, typer.Option(help="Who you are; asked for when missing.")] = "",
    token: Annotated[
        str, typer.Option(help="An API token to store instead of signing in; - reads it from stdin.")
    ] = "",
    insecure_http: InsecureHttp = False,
) -> None:
    """Sign in and store an API token for the next commands, readable by you alone.

    With two-factor sign-in it asks for a code; from a pipe it reads that from the line after the password.
    """
    login.sign_in(url, email, token, insecure_http=insecure_http)


@app.command("logout")
def logout_command(insecure_http: InsecureHttp = False) -> None:
    """Forget the stored login and delete its token on the server."""
    login.sign_out(insecure_http=insecure_http)


@app.command(
    "devices",
    epilog="Examples:\n\n`deployx devices --status offline`\n\n"
    "`deployx devices -q web --sort -last_seen`\n\n"
    "`deployx devices --on 'role in (web,db),env!=prod'`\n\n"
    "`deployx devices --json | jq -r '.[] | select(.trust == \"pending\") | .hostname'`",
)
def devices_command(
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="SELECTOR",
            help="Only devices that this selector means.",
            autocompletion=completing.selector,
        ),
    ] = "",
    query: Annotated[str, typer.Option("--query", "-q", help="Words in name, hostname, address or id.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only devices whose link is this.")] = None,
    trust: Annotated[Trust | None, typer.Option(help="Only devices of this trust.")] = None,
    platform: Annotated[str, typer.Option(help="Only devices of this platform.")] = "",
    owner: Annotated[str, typer.Option(help="Only devices of this user.")] = "",
    sort: Annotated[
        str, typer.Option(help="name, status, hostname, platform, last_seen or created_at; - reverses.")
    ] = "name",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array with everything the server says.")] = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List the devices you may see: a table on a terminal, tab-separated lines in a pipe."""
    filters = {"selector": on, "q": query, "status": status or "", "trust": trust or "", "platform": platform}
    filters |= {"owner": owner}
    with connected(insecure_http) as api:
        found = devices.listed(api, {name: value for name, value in filters.items() if value}, sort)
        output.print_devices(found, as_json=as_json)


app.add_typer(run_commands.app)
app.add_typer(release_commands.app, name="release")
app.add_typer(deploy_commands.app)
app.add_typer(deployment_commands.app, name="deployment")
app.add_typer(schedule_commands.app, name="schedules")
app.add_typer(software_commands.app)
app.add_typer(audit.app, name="audit")
app.add_typer(key_commands.app, name="key")
app.add_typer(update_commands.app, name="agent-update")
app.add_typer(artifact_commands.app, name="artifact")


@app.command(
    "sim",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def sim_command(context: typer.Context) -> None:
    """Simulate devices and judge a server by them: `deployx-server sim`, where the server's package is installed."""
    sim.hand_over(context.args)


def main() -> None:
    """The entry point."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `deployx devices | head` ends without a word
    completing.prepare_bash(os.environ)
    parameters.load_when_needed()
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="deployx", standalone_mode=False))
    except CommandError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(EXIT_INTERRUPTED)
    except typer.TyperException as error:  # wrong usage, found by typer or by us
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        _fail(
            f"{said.replace('Value error, ', '').removeprefix('Invalid value: ').rstrip('.')}. See: deployx --help",
            EXIT_USAGE,
        )
    except OSError as error:
        _fail(str(error), EXIT_FAILED)


def _fail(sentence: str, code: int) -> NoReturn:
    print(f"deployx: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
