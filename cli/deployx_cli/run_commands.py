"""The commands about runs and groups, their options and their pages of help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deployx_cli import completing, output, running, safe, signing
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.request import Asked, request_of
from deployx_cli.running import Form
from deployx_cli.work import Work, of_device

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
RawBytes = Annotated[bool, typer.Option("--raw", help="The bytes as the device sent them; for one device.")]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="The id of a run, or `last` for the newest.", autocompletion=completing.run)
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Only the device of this name or id.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Print the id of the run and leave it to itself.")]

EXITS = (
    "**Exit codes**: 0 all succeeded, 1 none did, 3 some did not, 2 wrong usage, 69 server unreachable, 77 not "
    "allowed, 130 after Ctrl-C, which leaves the run going."
)


class State(StrEnum):
    """Which runs to list."""

    ACTIVE = "active"
    FINISHED = "finished"
    FAILED = "failed"


class Stream(StrEnum):
    """What a task printed to."""

    STDOUT = "stdout"
    STDERR = "stderr"


class Ended(StrEnum):
    """How a task ended that can be repeated."""

    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    EXPIRED = "expired"
    LOST = "lost"


@app.command(
    "run",
    epilog="**Examples**\n\n`deployx run uptime --on 'platform=linux'`\n\n"
    "`deployx run 'systemctl restart nginx' --on 'role=web,env!=prod' --max-parallel 2`\n\n"
    "`deployx run --shell 'df -h / | tail -1' --on 'group=berlin'`\n\n"
    "`deployx run --on '*' -- ls -l /etc`\n\n"
    "`deployx run --script patch.sh --interpreter bash --on 'os=Debian*' --timeout 20m -- --dry-run`\n\n"
    "`deployx run 'cat /etc/hosts' --on name=web-1 --raw > hosts`\n\n"
    "`deployx run reboot --on role=web --sign ada`\n\n"
    "`deployx run hostname --on '*' --json | jq -r '.tasks[] | select(.exit_code == 0).stdout'`\n\n" + EXITS,
)
def run_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="One word is split as a shell would split it; arguments of --script."),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="SELECTOR",
            help="Which devices; * means all you may see.",
            autocompletion=completing.selector,
        ),
    ] = "",
    shell: Annotated[bool, typer.Option("--shell", help="Give the command to the machine's shell as a line.")] = False,
    script: Annotated[str, typer.Option(metavar="FILE", help="Run this script; - reads it from stdin.")] = "",
    interpreter: Annotated[
        str, typer.Option(metavar="PROGRAM", help="What runs the script; by default its #! line says so.")
    ] = "",
    user: Annotated[str, typer.Option(help="A user of the machines; by default the agent's own.")] = "",
    cwd: Annotated[str, typer.Option(metavar="FOLDER", help="Where to run it, an absolute path.")] = "",
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Add to the environment; repeatable.")
    ] = None,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="End each task after so long: 90, 15m, 2h; an hour by default.")
    ] = "",
    expires: Annotated[
        str,
        typer.Option(metavar="TIME", help="How long a device that is away may still come for it; a day by default."),
    ] = "",
    max_parallel: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="On how many devices at once; by default on all.")
    ] = None,
    as_json: AsJson = False,
    raw: RawBytes = False,
    no_wait: NoWait = False,
    sign: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Sign it with this key, for machines that ask for that; repeatable."),
    ] = None,
    save: Annotated[
        str, typer.Option(metavar="FILE", help="Start nothing; keep the signed run for somebody else to sign as well.")
    ] = "",
    signed: Annotated[str, typer.Option(metavar="FILE", help="Start the run that was kept in this file.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, however many devices there are.")] = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Run a command or a script on devices, and print what each of them prints.

    Whom it reaches and whom it leaves out stands on stderr, and so does the progress; what the devices print to stdout
    comes to stdout, each line behind the name of its device if there are several. A device that is offline gets the run
    when it returns, until it expires. Above 20 devices somebody at a terminal is asked first.

    A signed run is for exactly the devices that it reaches when it is signed, 500 at most, and is good for once.
    """
    if signed:
        if on or words or script or sign or save:
            raise typer.BadParameter("--signed starts what is in the file, and takes nothing else")
        request = signing.load(Path(signed))
        with connected(insecure_http) as api:
            raise typer.Exit(running.run(Work(api), request, Form(as_json=as_json, raw=raw), wait=not no_wait, yes=yes))
    if save and not sign:
        raise typer.BadParameter("--save goes with --sign")
    if not on:
        raise typer.BadParameter("Say on which devices, as in --on 'platform=linux', or --on '*' for all")
    form = Form(as_json=as_json, raw=raw)
    asked = Asked(
        words=words or [],
        on=on,
        shell=shell,
        script=script,
        interpreter=interpreter,
        user=user,
        cwd=cwd,
        env=env or [],
        timeout=timeout,
        expires=expires,
        max_parallel=max_parallel,
    )
    request = request_of(asked)
    with connected(insecure_http) as api:
        if sign:
            request = signing.signed(Work(api), request, sign, yes=yes)
        if save:
            signing.save(Path(save), request)
            raise typer.Exit
        raise typer.Exit(running.run(Work(api), request, form, wait=not no_wait, yes=yes))


@app.command(
    "runs",
    epilog="**Examples**\n\n`deployx runs --state active`\n\n`deployx runs --by ada@example.com`\n\n"
    "`deployx runs last`\n\n`deployx runs --json | jq -r '.[] | select(.counts.failed) | .id'`",
)
def runs_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="Show the tasks of this run; `last` is the newest.", autocompletion=completing.run
        ),
    ] = "",
    state: Annotated[
        State | None, typer.Option(help="Only runs that are active, over, or ended badly somewhere.")
    ] = None,
    query: Annotated[str, typer.Option("--query", "-q", help="Words of the command.")] = "",
    by: Annotated[str, typer.Option(metavar="EMAIL", help="Only runs that this user started.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 20,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List runs, newest first; or the tasks of one, each with why it is as it is and what comes next."""
    with connected(insecure_http) as api:
        work = Work(api)
        if run:
            tasks = work.tasks(work.run(run)["id"])
            print(safe.as_json(tasks)) if as_json else output.print_tasks(tasks)
            return
        filters = {"state": state or "", "q": query, "by": by, "limit": str(limit)}
        found: list[dict[str, object]] = []
        for one in work.runs({name: value for name, value in filters.items() if value}):
            found.append(one)
            if len(found) == limit:
                break
        print(safe.as_json(found)) if as_json else output.print_runs(found)


@app.command(
    "output",
    epilog="**Examples**\n\n`deployx output last`\n\n`deployx output last --device web-1 --follow`\n\n"
    "`deployx output 01a2b3c4-… --device web-1 --stream stdout --raw > dump`\n\n"
    "With --follow the exit codes are those of `deployx run`.",
)
def output_command(
    run: RunId,
    device: Device = "",
    stream: Annotated[Stream | None, typer.Option(help="Only this one, and to stdout.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")] = False,
    raw: RawBytes = False,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Print what the devices of a run have printed."""
    form = Form(as_json=as_json, raw=raw, stream=stream)
    with connected(insecure_http) as api:
        work = Work(api)
        run_id = work.run(run)["id"]
        if follow:
            raise typer.Exit(running.follow(work, run_id, form, device))
        running.show(work, run_id, form, device)


@app.command("cancel", epilog="**Examples**\n\n`deployx cancel last`\n\n`deployx cancel 01a2b3c4-… --device web-1`")
def cancel_command(run: RunId, device: Device = "", insecure_http: InsecureHttp = False) -> None:
    """Call a run off: what waits is never started, what runs is ended."""
    with connected(insecure_http) as api:
        work = Work(api)
        run_id = work.run(run)["id"]
        if device:
            for task in of_device(work.tasks(run_id), device):
                after = work.cancel_task(task["id"])
                typer.echo(f"{safe.text(after['device_name'])}: {safe.text(after['reason'])}", err=True)
        else:
            after = work.cancel(run_id)
            typer.echo(f"Called off. Now: {output.counted(after['counts'])}.", err=True)


@app.command(
    "retry",
    epilog="**Examples**\n\n`deployx retry last`\n\n`deployx retry last --state timed_out --state lost`\n\n" + EXITS,
)
def retry_command(
    run: RunId,
    state: Annotated[
        list[Ended] | None, typer.Option(help="Only where it ended so; repeatable. By default wherever it failed.")
    ] = None,
    as_json: AsJson = False,
    no_wait: NoWait = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Repeat a run on the devices on which it did not succeed, and follow it."""
    with connected(insecure_http) as api:
        work = Work(api)
        made = work.retry(work.run(run)["id"], [str(one) for one in state or []])
        for one in made["excluded"]:
            typer.echo(f"Left out: {safe.text(one['device_name'] or one['id'])}: {safe.text(one['why'])}", err=True)
        raise typer.Exit(running.started(work, made, Form(as_json=as_json), wait=not no_wait))


@app.command(
    "groups",
    epilog="**Examples**\n\n`deployx groups`\n\n`deployx groups --save berlin --on 'site=berlin,!laptop'`\n\n"
    "`deployx run uptime --on group=berlin`\n\n`deployx groups --delete berlin`",
)
def groups_command(
    save: Annotated[str, typer.Option(metavar="NAME", help="Keep the selector of --on under this name.")] = "",
    on: Annotated[
        str,
        typer.Option(
            "--on", metavar="SELECTOR", help="Which devices are in the group.", autocompletion=completing.selector
        ),
    ] = "",
    delete: Annotated[
        str, typer.Option(metavar="NAME", help="Forget this group; its devices stay.", autocompletion=completing.group)
    ] = "",
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List your groups of devices, or keep a selector as one."""
    if bool(save) != bool(on) or (save and delete):
        raise typer.BadParameter("--save and --on go together, and without --delete")
    with connected(insecure_http) as api:
        found = api.object("GET", "/groups")["items"]
        known = {one["name"]: one for one in found}
        if delete:
            if delete not in known:
                raise typer.BadParameter(f"You have no group named {delete}")
            api.delete(f"/groups/{known[delete]['id']}")
        elif save:
            path, method = (f"/groups/{known[save]['id']}", "PATCH") if save in known else ("/groups", "POST")
            made = api.object(method, path, json={"name": save, "selector": on})
            typer.echo(f"{safe.text(save)} has {made['total']} devices now.", err=True)
        else:
            print(safe.as_json(found)) if as_json else output.print_groups(found)
