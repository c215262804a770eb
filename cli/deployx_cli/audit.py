"""The commands about the audit record."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from deployx_cli import heads, output, safe
from deployx_cli.audit_chain import Broken, Head, Verified, verify
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import CommandError

app = typer.Typer(help="What was done, by whom, to what: an append-only record (administrators).", no_args_is_help=True)

Actor = Annotated[str, typer.Option(metavar="NAME", help="Only what this user, or this agent, did.")]
ActionName = Annotated[
    str, typer.Option("--action", metavar="ACTION", help="Only this, such as run.started; or run, for all about runs.")
]
Object = Annotated[str, typer.Option("--object", metavar="ID", help="Only what was done to the thing of this id.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="From this moment on, such as 2026-01-31T08:00:00Z.")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Up to this moment.")]


@app.command(
    "list", epilog="**Examples**\n\n`deployx audit list --action run`\n\n`deployx audit list --actor ada@example.com`"
)
def list_command(
    actor: Actor = "",
    action: ActionName = "",
    object_id: Object = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")] = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List what was done, newest first."""
    query = _query(actor, action, object_id, since, until) | {"limit": str(limit)}
    with connected(insecure_http) as api:
        entries = api.object("GET", "/audit", params=query)["items"]
    print(safe.as_json(entries)) if as_json else output.print_audit(entries)


@app.command("export", epilog="**Examples**\n\n`deployx audit export > audit.jsonl`")
def export_command(
    actor: Actor = "",
    action: ActionName = "",
    object_id: Object = "",
    since: Since = "",
    until: Until = "",
    insecure_http: InsecureHttp = False,
) -> None:
    """Print the record as JSON lines, oldest first. An export of everything can be verified without the server."""
    with connected(insecure_http) as api:
        for line in api.audit_lines(_query(actor, action, object_id, since, until)):
            sys.stdout.write(f"{line}\n")


@app.command(
    "verify",
    epilog="**Examples**\n\n`deployx audit verify`\n\n`deployx audit verify audit.jsonl --head 1234:ab12…`\n\n"
    "**Exit codes**: 0 the record is whole, 1 it is not.",
)
def verify_command(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export of everything; by default the server's record.")
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="SEQ:HASH", help="An entry that has to be in it, as the server's log told; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")] = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Check that nothing in the record was changed, taken out or put in.

    Every hash is computed here anew. Where the record ended is kept in a file of yours, so that the next check also
    finds it out if entries were cut off its end, or if all of it was written anew.
    """
    known = [_head(text) for text in head or []]
    if file:
        try:
            with file.open(encoding="utf-8") as lines:
                found = _verified(lines, known)
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}.") from None
    else:
        with connected(insecure_http) as api:
            found = _verified(api.audit_lines({}), [*known, *heads.load(api.url)])
            heads.save(api.url, found.head)
    if as_json:
        print(json.dumps({"first": found.first, "entries": found.count, "head": str(found.head)}))
    else:
        print(f"The record is whole: {found.count} entries, {found.first} to {found.head.seq}. Its head: {found.head}")


def _verified(lines: Iterable[str], known: list[Head]) -> Verified:
    try:
        return verify(lines, known)
    except Broken as error:
        raise CommandError(str(error)) from None


def _head(text: str) -> Head:
    try:
        return Head.of(text)
    except ValueError:
        raise typer.BadParameter("--head has to be SEQ:HASH, as `deployx audit verify` prints it") from None


def _query(actor: str, action: str, object_id: str, since: str, until: str) -> dict[str, str]:
    wanted = {"actor": actor, "action": action, "object_id": object_id, "since": since, "until": until}
    return {name: value for name, value in wanted.items() if value}
