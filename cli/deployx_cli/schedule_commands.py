"""`deployx schedules`: runs and deployments that start by themselves, at a time or by cron."""

import sys
from typing import Annotated, Any

import typer

from deployx_cli import completing, output, safe, timing
from deployx_cli.api import Api
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
from deployx_cli.durations import seconds
from deployx_cli.errors import CommandError
from deployx_cli.moments import for_people
from deployx_cli.request import Asked, request_of
from deployx_cli.strategy import Options, strategy_of

app = typer.Typer(no_args_is_help=True, help="Runs and deployments that start by themselves, at a time or by cron.")

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
Schedule = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Its name or its id.")]
Cron = Annotated[
    str,
    typer.Option(metavar="'M H D M W'", help="Minute, hour, day of the month, month, day of the week; or @daily."),
]
At = Annotated[str, typer.Option(metavar="TIME", help="Once, at 2026-12-24T02:30, by the clocks of --timezone.")]
Zone = Annotated[str, typer.Option("--timezone", metavar="ZONE", help="By default this machine's, else UTC.")]
Windows = Annotated[
    list[str] | None,
    typer.Option("--window", metavar="'[DAYS ]FROM-TO'", help="Only within, as 'mon-fri 22:00-06:00'; repeatable."),
]
Missed = Annotated[str, typer.Option(metavar="once|skip", help="What becomes of times at which no server was there.")]
Grace = Annotated[str, typer.Option(metavar="TIME", help="How late a missed time may be made up for.")]
Overlap = Annotated[
    str, typer.Option(metavar="skip|start", help="What becomes of a time at which that before is not over.")
]


@app.command("list", epilog="**Examples**\n\n`deployx schedules list`\n\n`deployx schedules list --json`")
def list_command(as_json: AsJson = False, insecure_http: InsecureHttp = False) -> None:
    """List your schedules, when each is next due and what came of the last time."""
    with connected(insecure_http) as api:
        found = list(api.pages("/schedules", {"limit": "200"}))
    print(safe.as_json(found)) if as_json else output.print_schedules(found)


@app.command("show", epilog="**Examples**\n\n`deployx schedules show nightly`")
def show_command(
    name: Schedule,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The latest so many times.")] = 20,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Print what a schedule does, its next times, and what came of those that were."""
    with connected(insecure_http) as api:
        one = _found(api, name)
        following = api.object("GET", f"/schedules/{one['id']}/next", params={"count": "10"})["items"]
        firings = api.object("GET", f"/schedules/{one['id']}/firings", params={"limit": str(limit)})["items"]
    if as_json:
        print(safe.as_json({**one, "next": following, "firings": firings}))
        return
    for line in _described(one):
        typer.echo(safe.text(line))
    for when in following[:3]:
        typer.echo(f"Next: {safe.text(when['local'])}")
    output.print_firings(firings)


@app.command(
    "create",
    epilog="**Examples**\n\n`deployx schedules create nightly --cron '30 2 * * *' --on role=web -- apt-get upgrade`\n\n"
    "`deployx schedules create once --at 2026-12-24T02:30 --on name=web-1 reboot`\n\n"
    "`deployx schedules create logs --cron @hourly --on '*' --shell 'find /tmp -mtime +7 -delete'`\n\n"
    "`deployx schedules create scan --cron '*/15 * * * *' --window 'mon-fri 22:00-06:00' --on '*' --script scan.sh`",
)
def create_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="As in deployx run; arguments of --script.")
    ] = None,
    cron: Cron = "",
    at: At = "",
    timezone: Zone = "",
    window: Windows = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="SELECTOR",
            help="Which devices; evaluated each time.",
            autocompletion=completing.selector,
        ),
    ] = "",
    shell: Annotated[bool, typer.Option("--shell", help="Give the command to the machine's shell as a line.")] = False,
    script: Annotated[str, typer.Option(metavar="FILE", help="Run this script; - reads it from stdin.")] = "",
    interpreter: Annotated[str, typer.Option(metavar="PROGRAM", help="What runs the script.")] = "",
    user: Annotated[str, typer.Option(help="A user of the machines; by default the agent's own.")] = "",
    timeout: Annotated[str, typer.Option(metavar="TIME", help="End each task after so long; an hour by default.")] = "",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="How long a device that is away may still come; a day by default.")
    ] = "",
    max_parallel: Annotated[int | None, typer.Option(min=1, metavar="N", help="On how many devices at once.")] = None,
    missed: Missed = "once",
    grace: Grace = "1h",
    overlap: Overlap = "skip",
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Have a command or a script run on devices at a time, or again and again.

    A time that a clock skips comes right after the gap; one that it shows twice comes once. A schedule acts with what
    you may do at that time; whoever is shut out starts nothing any more.
    """
    if not on:
        raise typer.BadParameter("say on which devices: --on SELECTOR, or --on '*' for all")
    asked = Asked(
        words=words or [],
        on=on,
        shell=shell,
        script=script,
        interpreter=interpreter,
        user=user,
        timeout=timeout,
        expires=expires,
        max_parallel=max_parallel,
    )
    wanted = {
        "name": name,
        **timing.when(cron, at, timezone, window or []),
        "action": {"kind": "run", "request": request_of(asked)},
        **_misses(missed, grace, overlap),
    }
    _create(wanted, as_json=as_json, insecure_http=insecure_http)


@app.command(
    "deploy",
    epilog="**Examples**\n\n`deployx schedules deploy weekly agent@1.5 --cron '0 2 * * tue' --on role=web`\n\n"
    "`deployx schedules deploy friday shop@2.4 --at 2026-12-18T22:00 --on role=web --waves 1,10%,100% --soak 30m`",
)
def deploy_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    release: ReleaseName,
    on: On,
    cron: Cron = "",
    at: At = "",
    timezone: Zone = "",
    window: Windows = None,
    waves: Waves = "",
    max_parallel: MaxParallel = None,
    failures: Failures = "",
    soak: Soak = "",
    healthy: Healthy = None,
    deploy_window: Annotated[
        str,
        typer.Option(metavar="WINDOW", help="When the deployment may start something: 'mon-fri 22:00-04:00 UTC'."),
    ] = "",
    order: DeviceOrder = "",
    deadline: Deadline = "",
    offline: WhenOffline = None,
    offline_after: OfflineAfter = "",
    on_failure: WhenFailing = None,
    attempts: Attempts = None,
    missed: Missed = "once",
    grace: Grace = "1h",
    overlap: Overlap = "skip",
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Have a release brought to devices at a time, or again and again to those that do not have it.

    Which devices is decided each time. Where a second person has to approve a deployment, each of these waits for that.
    """
    options = Options(
        waves=waves,
        max_parallel=max_parallel,
        failures=failures,
        soak=soak,
        healthy=healthy,
        window=deploy_window,
        order=order,
        deadline=deadline,
        offline=offline or "",
        offline_after=offline_after,
        on_failure=on_failure or "",
        attempts=attempts,
    )
    request = {"release": release, "targets": {"selector": on}, "strategy": strategy_of(options)}
    wanted = {
        "name": name,
        **timing.when(cron, at, timezone, window or []),
        "action": {"kind": "deployment", "request": request},
        **_misses(missed, grace, overlap),
    }
    _create(wanted, as_json=as_json, insecure_http=insecure_http)


@app.command(
    "next", epilog="**Examples**\n\n`deployx schedules next nightly`\n\n`deployx schedules next --cron '30 2 * * *'`"
)
def next_command(
    name: Annotated[str, typer.Argument(metavar="[SCHEDULE]", help="Its name or its id.")] = "",
    cron: Cron = "",
    at: At = "",
    timezone: Zone = "",
    window: Windows = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=50, help="So many.")] = 10,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Print the next times of a schedule, or of a cron expression that is not one yet, by the clocks of its zone."""
    if bool(name) == bool(cron or at):
        raise typer.BadParameter("name a schedule, or say --cron or --at")
    query = {"count": str(count)}
    with connected(insecure_http) as api:
        if name:
            found = api.object("GET", f"/schedules/{_found(api, name)['id']}/next", params=query)
        else:
            when = timing.when(cron, at, timezone, window or [])
            found = api.object("POST", "/schedules/preview", json=when, params=query)
    if as_json:
        print(safe.as_json(found["items"]))
    else:
        for one in found["items"]:
            typer.echo(safe.text(one["local"]))


@app.command("pause", epilog="**Examples**\n\n`deployx schedules pause nightly`")
def pause_command(name: Schedule, insecure_http: InsecureHttp = False) -> None:
    """Let no time of it come due. Times that pass meanwhile are not made up for."""
    _posted(name, "pause", insecure_http=insecure_http)


@app.command("resume", epilog="**Examples**\n\n`deployx schedules resume nightly`")
def resume_command(name: Schedule, insecure_http: InsecureHttp = False) -> None:
    """Let it go on with its next time."""
    _posted(name, "resume", insecure_http=insecure_http)


@app.command("run-now", epilog='**Examples**\n\n`deployx output "$(deployx schedules run-now nightly)" --follow`')
def run_now_command(name: Schedule, as_json: AsJson = False, insecure_http: InsecureHttp = False) -> None:
    """Start what it does now, besides its times; prints the id of what was started."""
    with connected(insecure_http) as api:
        firing = api.object("POST", f"/schedules/{_found(api, name)['id']}/start")
    print(safe.as_json(firing) if as_json else safe.text(firing["run_id"] or firing["deployment_id"]))


@app.command("delete", epilog="**Examples**\n\n`deployx schedules delete nightly`")
def delete_command(
    name: Schedule,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Delete a schedule and what came of its times. What it started stays."""
    with connected(insecure_http) as api:
        one = _found(api, name)
        if not yes:
            if not sys.stdin.isatty():
                raise CommandError("There is nobody to ask whether to delete this; say --yes.")
            if not typer.confirm(f"Delete {safe.text(one['name'])}?", err=True):
                raise CommandError("Nothing was deleted.")
        api.delete(f"/schedules/{one['id']}")


def _misses(missed: str, grace: str, overlap: str) -> dict[str, Any]:
    return {"missed": missed, "grace_s": int(seconds(grace, "--grace")), "overlap": overlap}


def _create(wanted: dict[str, Any], *, as_json: bool, insecure_http: bool) -> None:
    with connected(insecure_http) as api:
        made = api.object("POST", "/schedules", json=wanted)
    if as_json:
        print(safe.as_json(made))
        return
    for line in _described(made):
        typer.echo(safe.text(line))


def _posted(name: str, what: str, *, insecure_http: bool) -> None:
    with connected(insecure_http) as api:
        changed = api.object("POST", f"/schedules/{_found(api, name)['id']}/{what}")
    for line in _described(changed):
        typer.echo(safe.text(line))


def _found(api: Api, name: str) -> dict[str, Any]:
    """The schedule of this name or id. Raises CommandError."""
    every = list(api.pages("/schedules", {"limit": "200"}))
    found = [one for one in every if one["id"] == name] or [one for one in every if one["name"] == name]
    mine = [one for one in found if one["own"]] or found
    if len(mine) == 1:
        return mine[0]
    if mine:
        raise CommandError(f"Several people have a schedule named {name}; name its id instead.")
    raise CommandError(f"There is no schedule {name}. See: deployx schedules list")


def _described(one: dict[str, Any]) -> list[str]:
    what = one["words"] or "Once"
    due = for_people(f"next at {one['next_due_at'][:19]}Z") if one["next_due_at"] else one["state"]
    return [f"{one['name']}: {one['what']}", f"{what}, {one['timezone']}; {due}"]
