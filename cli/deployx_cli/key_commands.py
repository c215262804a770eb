"""`deployx key`: an operator's keys, with which runs are signed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deployx_cli import keys, safe, signing
from deployx_cli.errors import CommandError
from deployx_cli.keys import Key

app = typer.Typer(no_args_is_help=True, help="Keys with which you sign runs, for machines that ask for that.")


def _names() -> list[str]:
    return keys.names()


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of a key, or the path of its file.", autocompletion=_names)
]


@app.command(
    "create",
    epilog="**Examples**\n\n`deployx key create ada`\n\n`deployx key create robot --no-passphrase`",
)
def create_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it here.")],
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Whoever can read its file can sign with it.")
    ] = False,
) -> None:
    """Make a key, in a file that only you can read. It never leaves this machine; back it up yourself."""
    path, key = keys.create(name, "" if no_passphrase else keys.new_passphrase())
    typer.echo(f"The key is in {path}.", err=True)
    _show(key)


@app.command("show", epilog="**Examples**\n\n`deployx key show ada`\n\n`deployx key show ada --json`")
def show_command(
    name: Name,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")] = False,
) -> None:
    """Print a key's id and its public half, as the policy of a machine wants it."""
    key = keys.load(name)
    if as_json:
        print(safe.as_json({"name": key.name, "key_id": key.key_id, "public_key": key.public}))
    else:
        _show(key)


@app.command(
    "sign",
    epilog="**Examples**\n\n`deployx run reboot --on role=web --sign ada --save run.json`, and somebody else:\n\n"
    "`deployx key sign run.json --with bob`\n\n`deployx run --signed run.json`",
)
def sign_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="From `deployx run … --save FILE`.")],
    with_key: Annotated[str, typer.Option("--with", metavar="KEY", help="Your key: its name or the path of its file.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Add your signature to a run that somebody else has prepared, after showing what it does."""
    request = signing.load(file)
    for line in signing.describe(request):
        typer.echo(line, err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("There is nobody to ask whether to sign this; say --yes if you have read it.")
        if not typer.confirm("Sign this?", err=True):
            raise CommandError("Nothing was signed.")
    key = keys.load(with_key)
    signing.save(file, signing.sign(request, [key]))
    typer.echo(f"Signed by {key.name} (key {key.key_id}).", err=True)


def _show(key: Key) -> None:
    print(f'# {key.name}: key id {key.key_id}\n[[operator]]\nname = "{key.name}"\nkey = "{key.public}"')
