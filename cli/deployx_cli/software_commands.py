"""`deployx software`: what is installed on the devices, and which of them have it."""

import sys
from typing import Annotated

import typer

from deployx_cli import output, safe
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import EXIT_FAILED

app = typer.Typer()


@app.command(
    "software",
    epilog="**Examples**\n\n`deployx software 'openssl<3.0.13'`\n\n`deployx software 'nginx>=1.22,<1.24' --json`\n\n"
    "`deployx software 'linux-image-*' --versions`\n\n`deployx software --versions`\n\n"
    "**Exit codes**: 0 some device has it, 1 none has, 2 wrong usage, 69 server unreachable, 77 not allowed.",
)
def software_command(
    query: Annotated[
        str,
        typer.Argument(metavar="[QUERY]", help="A name, * stands for anything, and what its version is compared with."),
    ] = "",
    versions: Annotated[
        bool, typer.Option("--versions", help="Which versions there are, and on how many devices.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")] = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List the devices that have a package, in these versions; on stderr how many report nothing.

    Versions are compared by the rules of the system that installed the package. An epoch or a revision that is not
    written is not compared: openssl<3.0.13 is about the version that upstream gave it.
    """
    if not query and not versions:
        raise typer.BadParameter("name a package, as in openssl or 'openssl<3.0.13', or say --versions")
    with connected(insecure_http) as api:
        summary = api.object("GET", "/software", params={"q": query, "limit": "1"})
        path = "/software" if versions else "/software/devices"
        found = list(api.pages(path, {"q": query} if query else {}))
    if as_json:
        print(safe.as_json(found))
    elif versions:
        output.print_software(found)
    else:
        output.print_devices_with(found)
    if silent := summary["total"] - summary["reporting"]:
        print(f"{silent} of {summary['total']} devices have not reported what is installed.", file=sys.stderr)
    if not found:
        raise typer.Exit(EXIT_FAILED)
