"""``deployx-server sim``: its options, what it says, its exit codes."""

import asyncio
import os
from typing import Annotated, NoReturn

import msgspec
import typer

from app.sim.errors import CannotSimulate
from app.sim.plants import Plant
from deployx_protocol import origins, tokens

EXIT_FOUND = 1
EXIT_CANNOT = 69
EXIT_USAGE = 2
HELP = """Simulate devices: agents of the protocol, many in a process, that register, answer runs, and judge the server.

An operator's API token (DEPLOYX_TOKEN) starts runs on them, and at the end what the server shows is compared with what
the devices did:
L accepted tasks lost or shown otherwise than they went, D tasks done twice, U tasks that nothing will end,
P devices with wrong presence. It exits with 1 unless L = D = U = P = 0.

The devices enrol with DEPLOYX_ENROLLMENT_TOKEN, or with a token that the operator makes. Nothing that they are asked to
run is executed. They stay in the server's list: use a server that is there to be tried out.

`deployx sim` is the same command, on a machine where the server's package is installed beside `deployx`.

Examples:

  deployx-server sim --url http://127.0.0.1:8000 --agents 50

  deployx-server sim --url https://deployx.example.com --agents 500 --chaos --seconds 60 --seed 7 --processes 2

  deployx-server sim --url http://127.0.0.1:8000 --agents 200 --idle
"""


def sim(
    url: Annotated[str, typer.Option(envvar="DEPLOYX_URL", help="The server's address.")],
    agents: Annotated[int, typer.Option(min=1, max=20_000, help="How many devices.")] = 20,
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Break, freeze and restart agents; repeat and reorder what they say.")
    ] = False,
    mishap_every: Annotated[
        float,
        typer.Option(min=1, max=86_400, help="Under --chaos: for how many seconds an agent is left alone."),
    ] = 6.0,
    seconds: Annotated[
        float, typer.Option(min=0, max=86_400, help="How long runs are started. With --idle, 0 is until Ctrl-C.")
    ] = 10.0,
    seed: Annotated[str, typer.Option(help="Makes the same devices and mishaps again.")] = "1",
    processes: Annotated[int, typer.Option(min=1, max=64, help="How many processes the devices are in.")] = 1,
    idle: Annotated[
        bool, typer.Option("--idle", help="Only be there and answer what others start; judge nothing.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=1, max=3600, help="How many seconds the server may take to come to rest at the end.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
    plant: Annotated[
        Plant | None, typer.Option(help="Put a bug into the agents or their wire, to see that it is found.")
    ] = None,
) -> None:
    """Simulate, print the figures, and exit with what they say."""
    from app.sim import simulate  # its libraries are no other command's
    from app.sim.figures import text

    try:
        origin = origins.bare(url)
    except ValueError as error:
        _fail(str(error), EXIT_USAGE)
    wanted = simulate.Wanted(
        origin=origin,
        agents=agents,
        seconds=seconds,
        seed=seed,
        processes=min(processes, agents),
        chaos=chaos,
        mishap_every_s=mishap_every,
        api_token=os.environ.get("DEPLOYX_TOKEN", ""),
        enrollment_token=os.environ.get("DEPLOYX_ENROLLMENT_TOKEN", ""),
        plant=plant,
        patience_s=patience,
    )
    _check(origin, wanted.api_token, wanted.enrollment_token, idle=idle)
    try:
        work = simulate.idle(wanted, _say) if idle else simulate.judged(wanted, _say)
        found = asyncio.run(work)
    except CannotSimulate as error:
        _fail(str(error), EXIT_CANNOT)
    except KeyboardInterrupt:
        _fail("Stopped before anything was judged.", 130)
    typer.echo(msgspec.json.encode(found).decode() if as_json else text(found))
    if not found.clean:
        raise typer.Exit(EXIT_FOUND)


def _check(origin: str, api_token: str, enrollment_token: str, *, idle: bool) -> None:
    if not idle and not api_token:
        text = "Set DEPLOYX_TOKEN to an operator's API token, which starts the runs; or use --idle."
        _fail(text, EXIT_USAGE)
    if idle and not enrollment_token:
        _fail("Set DEPLOYX_ENROLLMENT_TOKEN to a token that admits as many devices.", EXIT_USAGE)
    if enrollment_token:
        try:
            meant = tokens.enrollment_origin(enrollment_token)
        except ValueError as error:
            _fail(str(error), EXIT_USAGE)
        if meant != origin:
            _fail(f"DEPLOYX_ENROLLMENT_TOKEN is for {meant}, not for {origin}.", EXIT_USAGE)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _fail(sentence: str, code: int) -> NoReturn:
    _say(f"deployx-server: {sentence}")
    raise typer.Exit(code)
