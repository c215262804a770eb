"""`deployx deploy` and `deployx deployments`: bring a release to devices, in waves."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from deployx_cli import deploying, output, safe
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.deploy_options import (
    Attempts,
    Deadline,
    DeviceOrder,
    Failures,
    Healthy,
    MaxParallel,
    OfflineAfter,
    On,
    ReleaseName,
    Soak,
    Waves,
    WhenFailing,
    WhenOffline,
)
from deployx_cli.errors import EXIT_INTERRUPTED
from deployx_cli.progress import Progress
from deployx_cli.strategy import Options, strategy_of

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
EXITS = (
    "**Exit codes** with --watch: 0 every device has it, 1 none has, 3 some have, 2 wrong usage, 69 server "
    "unreachable, 77 not allowed, 130 after Ctrl-C, which leaves the deployment going. One that pauses ends the watch."
)


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
    release: ReleaseName,
    on: On,
    waves: Waves = "",
    max_parallel: MaxParallel = None,
    failures: Failures = "",
    soak: Soak = "",
    healthy: Healthy = None,
    window: Annotated[
        str, typer.Option(metavar="WINDOW", help="When it may start something: 'mon-fri 22:00-04:00 Europe/Berlin'.")
    ] = "",
    order: DeviceOrder = "",
    deadline: Deadline = "",
    offline: WhenOffline = None,
    offline_after: OfflineAfter = "",
    on_failure: WhenFailing = None,
    attempts: Attempts = None,
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
