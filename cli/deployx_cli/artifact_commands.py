"""`deployx artifact`: the files that releases bring along."""

from pathlib import Path
from typing import Annotated

import typer

from deployx_cli import safe, uploading
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import WrongUsage
from deployx_cli.output import print_artifacts
from deployx_cli.progress import Progress

app = typer.Typer(no_args_is_help=True, help="The files that releases bring along.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]


@app.command(
    "upload",
    epilog="**Examples**\n\n`deployx artifact upload shop-2.4.tar.gz`\n\n"
    "After a cut, or Ctrl-C, the same command goes on where it was.",
)
def upload_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="What to upload.", dir_okay=False)],
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Upload files; what the server has already is not sent. Prints each SHA-256."""
    if missing := [str(file) for file in files if not file.is_file()]:
        raise WrongUsage(f"There is no file {safe.text(missing[0])}.")
    with connected(insecure_http) as api:
        progress = Progress()
        found = [uploading.upload(api, file, progress) for file in files]
    if as_json:
        print(safe.as_json(found))
    else:
        for one in found:
            print(f"{one['sha256']}  {safe.text(one['name'])}")


@app.command("list", epilog="**Examples**\n\n`deployx artifact list --unused`")
def list_command(
    unused: Annotated[bool, typer.Option("--unused", help="Only those that no release uses.")] = False,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """What is in the store, the newest first."""
    with connected(insecure_http) as api:
        found = list(api.pages("/artifacts", {"unused": "true"} if unused else {}))
    if as_json:
        print(safe.as_json(found))
    else:
        print_artifacts(found)


@app.command("delete", epilog="**Examples**\n\n`deployx artifact delete 5891b5b522d5df08…`")
def delete_command(
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="Which, by its whole hash.")],
    insecure_http: InsecureHttp = False,
) -> None:
    """Delete an artifact that no release uses."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise WrongUsage("A SHA-256 has 64 hexadecimal digits in lower case; deployx artifact list shows them.")
    with connected(insecure_http) as api:
        api.delete(f"/artifacts/{sha256}")
