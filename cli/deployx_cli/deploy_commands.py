"""`deployx deploy` and `deployx deployments`: bring a release to devices, in waves."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from deployx_cli import completing, deploying, output, safe
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import EXIT_INTERRUPTED
from deployx_cli.progress import Progress
from deployx_cli.strategy import Options, strategy_of

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
EXITS = (
    "**Exit codes** with --watch: 0 every device has it, 1 none has, 3 some have, 2 wrong usage, 69 server "
    "unreachable, 77 not allowed, 130 after Ctrl-C, which leaves the deployment going. One that pauses ends the watch."
)


class Offline(StrEnum):
    """What becomes of a device that is away when it is its turn."""

    WAIT = "wait"
    SKIP = "skip"
    FAIL = "fail"


class OnFailure(StrEnum):
    """What happens when more fail than may."""

    PAUSE = "pause"
    ROLL_BACK = "roll-back"


class State(StrEnum):
    """What a deployment is at."""

    AWAITING_APPROVAL = "awaiting_approval"
    REJECTED = "rejected"
    RUNNING = "running"
    PAUSED = "paused"
    ABORTING = "aborting"
    ABORTED = "aborted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@app.command(
    "deploy",
    epilog="**Examples**\n\n`deployx deploy shop@2.4 --on role=web --waves 1,10%,50%,100% --watch`\n\n"
    "`deployx deploy shop@2.4 --on 'group=berlin' --dry-run`\n\n"
    "`deployx deploy shop@2.4 --on '*' --max-parallel 20 --failures 5% --on-failure roll-back`\n\n"
    "`deployx deploy shop@2.4 --on site=berlin --window 'mon-fri 22:00-04:00 Europe/Berlin'`\n\n" + EXITS,
)
def deploy_command(
    release: Annotated[
        str,
        typer.Argument(metavar="NAME@VERSION", help="A release on the server.", autocompletion=completing.release),
    ],
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="SELECTOR",
            help="Which devices; * means all you may see.",
            autocompletion=completing.selector,
        ),
    ],
    waves: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="How many have it after each wave, as in 1,10%,50%,100%; at once by default."
        ),
    ] = "",
    max_parallel: Annotated[int | None, typer.Option(min=1, metavar="N", help="On how many devices at once.")] = None,
    failures: Annotated[
        str, typer.Option(metavar="N|N%", help="How many may fail: of all devices, or of each wave; none by default.")
    ] = "",
    soak: Annotated[
        str, typer.Option(metavar="TIME", help="How long a wave has to stay well before the next: 10m, 2h.")
    ] = "",
    healthy: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="How much of a wave has to have it before the next.")
    ] = None,
    window: Annotated[
        str, typer.Option(metavar="WINDOW", help="When it may start something: 'mon-fri 22:00-04:00 Europe/Berlin'.")
    ] = "",
    order: Annotated[
        str, typer.Option(metavar="ORDER", help="Who comes first: name, random, random:SEED or tag:NAME.")
    ] = "",
    deadline: Annotated[
        str, typer.Option(metavar="TIME", help="After so long nothing is started any more: 12h, 3d.")
    ] = "",
    offline: Annotated[
        Offline | None, typer.Option(help="A device that is away: wait for it, leave it out, or count it as failed.")
    ] = None,
    offline_after: Annotated[
        str, typer.Option(metavar="TIME", help="How long it may be away before it is left out or fails.")
    ] = "",
    on_failure: Annotated[OnFailure | None, typer.Option(help="What happens when more fail than may.")] = None,
    attempts: Annotated[
        int | None, typer.Option(min=1, max=10, metavar="N", help="Tries while nobody can say how one ended.")
    ] = None,
    following: Annotated[bool, typer.Option("--following", help="Devices that match later get it too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it is over.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and start nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not show the plan first, and do not ask.")] = False,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Bring a release to devices, wave by wave.

    On a terminal it shows the plan first: which devices in which wave, and which are left out and why. A deployment
    that goes wrong stops by itself, or takes itself back. It prints the id of the deployment.
    """
    options = Options(
        waves=waves,
        max_parallel=max_parallel,
        failures=failures,
        soak=soak,
        healthy=healthy,
        window=window,
        order=order,
        deadline=deadline,
        offline=offline or "",
        offline_after=offline_after,
        on_failure=on_failure or "",
        attempts=attempts,
    )
    request: dict[str, Any] = {
        "release": release,
        "targets": {"selector": on},
        "following": following,
        "strategy": strategy_of(options),
    }
    progress = Progress()
    with connected(insecure_http) as api:
        if dry_run or (sys.stdin.isatty() and not yes):
            plan = deploying.preview(api, request)
            if dry_run and as_json:
                print(safe.as_json(plan))
                return
            deploying.tell_plan(progress, plan)
            if dry_run:
                return
            deploying.agreed(yes=yes)
        try:
            made = deploying.start(api, request)
        except KeyboardInterrupt:
            progress.say("\nIt may have been started all the same. See: deployx deployments")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        if not as_json or not watch:
            print(safe.as_json(made) if as_json else made["id"], flush=True)
        if watch:
            code = deploying.watch(api, made["id"], progress)
            if as_json:
                print(safe.as_json(deploying.one(api, made["id"])))
            raise typer.Exit(code)


@app.command(
    "deployments",
    epilog="**Examples**\n\n`deployx deployments`\n\n`deployx deployments --state paused --state running`\n\n"
    "`deployx deployments --name shop --json`",
)
def deployments_command(
    state: Annotated[list[State] | None, typer.Option(help="Only those that are so; repeatable.")] = None,
    name: Annotated[str, typer.Option(help="Only those of this release.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 20,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List deployments, newest first."""
    found: list[dict[str, Any]] = []
    wanted = frozenset(state or ())
    with connected(insecure_http) as api:
        filters = {"limit": str(limit), **({"name": name} if name else {})}
        if len(wanted) == 1:
            filters["state"] = next(iter(wanted)).value
        for one in api.pages("/deployments", filters):
            if not wanted or one["state"] in wanted:
                found.append(one)
            if len(found) == limit:
                break
    print(safe.as_json(found)) if as_json else output.print_deployments(found)
