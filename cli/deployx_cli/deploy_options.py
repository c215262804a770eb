"""The options that say how a release goes from device to device, for every command that starts a deployment."""

from enum import StrEnum
from typing import Annotated

import typer

from deployx_cli import completing


class Offline(StrEnum):
    """What becomes of a device that is away when it is its turn."""

    WAIT = "wait"
    SKIP = "skip"
    FAIL = "fail"


class OnFailure(StrEnum):
    """What happens when more fail than may."""

    PAUSE = "pause"
    ROLL_BACK = "roll-back"


ReleaseName = Annotated[
    str, typer.Argument(metavar="NAME@VERSION", help="A release on the server.", autocompletion=completing.release)
]
On = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="SELECTOR",
        help="Which devices; * means all you may see.",
        autocompletion=completing.selector,
    ),
]
Waves = Annotated[
    str,
    typer.Option(metavar="LIST", help="How many have it after each wave, as in 1,10%,50%,100%; at once by default."),
]
MaxParallel = Annotated[int | None, typer.Option(min=1, metavar="N", help="On how many devices at once.")]
Failures = Annotated[
    str, typer.Option(metavar="N|N%", help="How many may fail: of all devices, or of each wave; none by default.")
]
Soak = Annotated[str, typer.Option(metavar="TIME", help="How long a wave has to stay well before the next: 10m, 2h.")]
Healthy = Annotated[
    float | None, typer.Option(metavar="PERCENT", help="How much of a wave has to have it before the next.")
]
DeviceOrder = Annotated[
    str, typer.Option("--order", metavar="ORDER", help="Who comes first: name, random, random:SEED or tag:NAME.")
]
Deadline = Annotated[str, typer.Option(metavar="TIME", help="After so long nothing is started any more: 12h, 3d.")]
WhenOffline = Annotated[
    Offline | None,
    typer.Option("--offline", help="A device that is away: wait for it, leave it out, or count it as failed."),
]
OfflineAfter = Annotated[
    str, typer.Option(metavar="TIME", help="How long it may be away before it is left out or fails.")
]
WhenFailing = Annotated[OnFailure | None, typer.Option("--on-failure", help="What happens when more fail than may.")]
Attempts = Annotated[
    int | None, typer.Option(min=1, max=10, metavar="N", help="Tries while nobody can say how one ended.")
]
