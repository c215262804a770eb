"""The commands, their options, and the one place where a failure becomes a sentence and an exit code."""

import signal
import sys
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from deployx_cli import __version__, login, output, store
from deployx_cli.address import check_transport
from deployx_cli.api import Api
from deployx_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, CommandError

app = typer.Typer(
    name="deployx",
    help="See the machines of a DeployX server from the command line.",
    epilog=(
        "`DEPLOYX_URL` and `DEPLOYX_TOKEN` take the place of a stored login. "
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 69 server unreachable, 77 not allowed."
    ),
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

InsecureHttp = Annotated[
    bool, typer.Option("--insecure-http", help="Accept plain http to another machine: anyone on the way can read it.")
]


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
    """Sign in and store an API token for the next commands, readable by you alone."""
    login.sign_in(url, email, token, insecure_http=insecure_http)


@app.command("logout")
def logout_command(insecure_http: InsecureHttp = False) -> None:
    """Forget the stored login and delete its token on the server."""
    login.sign_out(insecure_http=insecure_http)


@app.command(
    "devices",
    epilog="Examples:\n\n`deployx devices --status offline`\n\n"
    "`deployx devices -q web --sort -last_seen`\n\n"
    "`deployx devices --json | jq -r '.[] | select(.trust == \"pending\") | .hostname'`",
)
def devices_command(
    query: Annotated[str, typer.Option("--query", "-q", help="Words in name, hostname, address or id.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only devices whose link is this.")] = None,
    trust: Annotated[Trust | None, typer.Option(help="Only devices of this trust.")] = None,
    platform: Annotated[str, typer.Option(help="Only devices of this platform.")] = "",
    owner: Annotated[str, typer.Option(help="Only devices of this user.")] = "",
    sort: Annotated[
        str, typer.Option(help="name, status, hostname, platform, last_seen or created_at; - reverses.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array with everything the server says.")] = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List the devices you may see: a table on a terminal, tab-separated lines in a pipe."""
    whom = store.current()
    check_transport(whom.url, insecure_http=insecure_http)
    filters = {"q": query, "status": status or "", "trust": trust or "", "platform": platform}
    filters |= {"owner": owner, "sort": sort}
    with Api(whom.url, token=whom.token) as api:
        found = api.devices({name: value for name, value in filters.items() if value})
        output.print_devices(list(found), as_json=as_json)


def main() -> None:
    """The entry point."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `deployx devices | head` ends without a word
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="deployx", standalone_mode=False))
    except CommandError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(EXIT_INTERRUPTED)
    except typer.TyperException as error:  # wrong usage, found by typer or by us
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        _fail(f"{said.replace('Value error, ', '').rstrip('.')}. See: deployx --help", EXIT_USAGE)
    except OSError as error:
        _fail(str(error), EXIT_FAILED)


def _fail(sentence: str, code: int) -> NoReturn:
    print(f"deployx: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
