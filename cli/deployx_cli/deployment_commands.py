"""`deployx deployment`: look at one, and steer it."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from deployx_cli import completing, deploying, output, safe
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import CommandError
from deployx_cli.moments import for_people
from deployx_cli.progress import Progress

app = typer.Typer(no_args_is_help=True, help="Look at a deployment, and steer it.")

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
Id = Annotated[
    str,
    typer.Argument(
        metavar="DEPLOYMENT",
        help="The id of a deployment, or `last` for the newest.",
        autocompletion=completing.deployment,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the log of the deployment.")]


class Tried(StrEnum):
    """How a device ended that can be tried again."""

    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    SKIPPED = "skipped"


@app.command("show", epilog="**Examples**\n\n`deployx deployment show last`\n\n`deployx deployment show last --json`")
def show_command(deployment: Id, as_json: AsJson = False, insecure_http: InsecureHttp = False) -> None:
    """Print how a deployment is, its waves and gates, its devices, and what was decided."""
    with connected(insecure_http) as api:
        found = deploying.one(api, deployment)
        targets = list(api.pages(f"/deployments/{found['id']}/targets", {}))
        log = api.object("GET", f"/deployments/{found['id']}/log", params={"limit": "20"})["items"]
    if as_json:
        print(safe.as_json({"deployment": found, "targets": targets, "log": log}))
        return
    for sentence in deploying.ending(found):
        typer.echo(sentence, err=True)
    if found["next_event"]:
        typer.echo(f"  {safe.text(for_people(found['next_event']))}", err=True)
    for wave in found["waves"]:
        typer.echo(f"  {deploying.line({**found, 'wave': wave['number']})}", err=True)
    for entry in reversed(log):
        by = f" ({safe.text(entry['actor'])})" if entry["actor"] else ""
        typer.echo(f"  {for_people(entry['at'])} {safe.text(for_people(entry['text']))}{by}", err=True)
    output.print_targets(targets)


@app.command("watch", epilog="**Examples**\n\n`deployx deployment watch last`")
def watch_command(deployment: Id, insecure_http: InsecureHttp = False) -> None:
    """Follow a deployment until it is over or stands still, with the exit codes of `deployx deploy --watch`."""
    with connected(insecure_http) as api:
        raise typer.Exit(deploying.watch(api, deploying.one(api, deployment)["id"], Progress()))


@app.command("pause", epilog="**Examples**\n\n`deployx deployment pause last --note 'the database is slow'`")
def pause_command(deployment: Id, note: Note = "", insecure_http: InsecureHttp = False) -> None:
    """Start nothing more; what is in flight ends."""
    _steer(deployment, "pause", insecure_http, lambda _found: {"note": note})


@app.command("resume", epilog="**Examples**\n\n`deployx deployment resume last`")
def resume_command(deployment: Id, note: Note = "", insecure_http: InsecureHttp = False) -> None:
    """Go on; what failed until now is not counted again."""
    _steer(deployment, "resume", insecure_http, lambda _found: {"note": note})


@app.command("abort", epilog="**Examples**\n\n`deployx deployment abort last`")
def abort_command(deployment: Id, note: Note = "", insecure_http: InsecureHttp = False) -> None:
    """Call it off: what is in flight ends, the rest is left out. Devices that have the release keep it."""
    _steer(deployment, "abort", insecure_http, lambda _found: {"note": note})


@app.command("rollback", epilog="**Examples**\n\n`deployx deployment rollback last --note 'shops cannot sell'`")
def rollback_command(deployment: Id, note: Note = "", insecure_http: InsecureHttp = False) -> None:
    """Have every device that got the release go back to what it had before."""
    _steer(deployment, "rollback", insecure_http, lambda _found: {"note": note})


@app.command("promote", epilog="**Examples**\n\n`deployx deployment promote last`")
def promote_command(deployment: Id, note: Note = "", insecure_http: InsecureHttp = False) -> None:
    """Open the next wave now, whatever its gate waits for."""

    def body(found: dict[str, Any]) -> dict[str, Any]:
        if not found["wave"]:
            raise CommandError("No wave is open yet, so none can be promoted.")
        return {"wave": found["wave"], "note": note}

    _steer(deployment, "promote", insecure_http, body)


@app.command(
    "retry", epilog="**Examples**\n\n`deployx deployment retry last`\n\n`deployx deployment retry last --state skipped`"
)
def retry_command(
    deployment: Id,
    state: Annotated[
        list[Tried] | None, typer.Option(help="Only where it ended so; repeatable. By default failed and rolled_back.")
    ] = None,
    note: Note = "",
    insecure_http: InsecureHttp = False,
) -> None:
    """Try again on the devices on which it did not succeed."""
    states = {"states": [one.value for one in state]} if state else {}
    _steer(deployment, "retry", insecure_http, lambda _found: {**states, "note": note})


@app.command("approve", epilog="**Examples**\n\n`deployx deployment approve 01a2b3c4-… --note 'as discussed'`")
def approve_command(deployment: Id, note: Note = "", yes: Yes = False, insecure_http: InsecureHttp = False) -> None:
    """Let somebody else's deployment begin, exactly as its plan was when it was shown to you."""
    _decide(deployment, "approve", note, yes, insecure_http)


@app.command("reject", epilog="**Examples**\n\n`deployx deployment reject 01a2b3c4-… --note 'not before Monday'`")
def reject_command(deployment: Id, note: Note = "", yes: Yes = False, insecure_http: InsecureHttp = False) -> None:
    """Do not let somebody else's deployment begin."""
    _decide(deployment, "reject", note, yes, insecure_http)


def _decide(deployment: str, action: str, note: str, yes: bool, insecure_http: bool) -> None:
    def body(found: dict[str, Any]) -> dict[str, Any]:
        for sentence in (
            f"{safe.text(found['title'])} by {safe.text(found['created_by'])}: {found['total']} devices",
            f"  waves: {', '.join(map(safe.text, found['strategy']['waves']))}; on: {safe.text(found['selector'])}",
            f"  plan {found['plan_hash']}",
        ):
            typer.echo(sentence, err=True)
        deploying.agreed(yes=yes, question=f"{action.capitalize()} this?")
        return {"plan_hash": found["plan_hash"], "note": note}

    _steer(deployment, action, insecure_http, body)


def _steer(deployment: str, action: str, insecure_http: bool, body: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with connected(insecure_http) as api:
        found = deploying.one(api, deployment)
        after = api.object("POST", f"/deployments/{found['id']}/{action}", json=body(found))
    for sentence in deploying.ending(after)[:2]:
        typer.echo(sentence, err=True)
