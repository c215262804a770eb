"""What the routes about deployments take and answer, besides the protocol's own views.

What a request asks for is judged in ``strategy.py`` and ``targets.py``, where each refusal has a code of its own; here
are its types alone.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.accounts.schemas import Input, Line, Text
from app.tasks.schemas import Described, ExcludedDevice, Targets
from deployx_protocol import limits
from deployx_protocol.deployments import Offline, OnFailure, Order, TargetState
from deployx_protocol.states import Presence

WAVES_MAX = 20
PARALLEL_MAX = 20_000
ATTEMPTS_MAX = 10
NOTE_MAX = 500


def _number(least: float, most: float) -> Any:
    return Field(ge=least, le=most, allow_inf_nan=False)


class WindowInput(Input, Described):
    """When something may start. One that ends before it begins lasts into the next day, and counts to its first."""

    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(max_length=7)] = [
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
    ]
    begin: Annotated[str, Field(max_length=5)]
    """`HH:MM`"""
    end: Annotated[str, Field(max_length=5)]
    """`HH:MM`, up to `24:00`."""
    zone: Annotated[Text, Field(max_length=64)] = "UTC"
    """An IANA time zone, such as `Europe/Berlin`."""


class StrategyInput(Input, Described):
    """How to go from device to device."""

    waves: Annotated[list[Annotated[str, Field(max_length=12)]], Field(min_length=1, max_length=WAVES_MAX)] = ["100%"]
    """How many devices have had their turn after each wave, as counts or percentages: `["1", "10%", "100%"]`. The last
    one has to be `100%`."""
    max_parallel: Annotated[int, Field(ge=1, le=PARALLEL_MAX)] | None = None
    """How many devices are in flight at once; null: as many as the wave has."""
    failure_threshold: Annotated[str, Field(max_length=12)] = "0"
    """How many may fail before it stops: a count of all devices (`2`), or a percentage of each wave (`5%`)."""
    soak_s: Annotated[float, _number(0, limits.RUN_EXPIRES_MAX_S)] = 0.0
    """How long a wave's gate has to be met before the next wave opens."""
    healthy_percent: Annotated[float, _number(0.1, 100)] | None = None
    """How many devices of a wave have to have the release before the next wave opens. null: all are over."""
    window: WindowInput | None = None
    order: Order = Order.NAME
    order_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    order_tag: Annotated[Text, Field(max_length=limits.TAG_NAME_MAX)] = ""
    """The tag for `order: tag`."""
    deadline_s: Annotated[float, _number(60, 365 * 86_400)] | None = None
    """After so long nothing is started any more, and what was not started is left out."""
    offline: Offline = Offline.WAIT
    offline_after_s: Annotated[float, _number(0, limits.RUN_EXPIRES_MAX_S)] = 3_600.0
    """For `skip` and `fail`: how long a device may be away when it is its turn."""
    on_failure: OnFailure = OnFailure.PAUSE
    attempts: Annotated[int, Field(ge=1, le=ATTEMPTS_MAX)] = 3
    """How many tasks a device gets while nobody can say what became of the one before."""


class DeploymentRequest(Input, Described):
    """A deployment to start, or to preview."""

    release: Annotated[Line, Field(max_length=200)]
    """`NAME@VERSION`, or the SHA-256 of its payload."""
    targets: Targets
    following: bool = False
    """With a selector: devices that meet it later get the release as well."""
    strategy: StrategyInput = StrategyInput()


class PlannedDevice(Described):
    """A device that gets the release."""

    id: int
    device_name: str
    status: Presence
    hostname: str
    wave: int


class PlannedWave(Described):
    """A wave, and how many devices it has."""

    number: int
    label: str
    total: int


class PreviewedRelease(Described):
    """Which release is meant."""

    name: str
    version: str
    number: int
    sha256: str
    kind: str
    platforms: list[str]
    signatures: int
    """How many keys have signed it."""


class DeploymentPreview(Described):
    """What a deployment with this request would reach now. At most 500 devices of each kind are listed; all count."""

    release: PreviewedRelease
    total: int
    online: int
    offline: int
    devices: list[PlannedDevice]
    """In the order in which they get their turn."""
    waves: list[PlannedWave]
    excluded_total: int
    excluded: list[ExcludedDevice]
    warnings: list[str]
    plan_hash: str
    needs_approval: bool
    approval_above: int
    """Deployments to more devices than this need a second person; 0: none does."""


class Decision(Input, Described):
    """A second person's word on exactly this plan."""

    plan_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """The deployment's `plan_hash`, as it was looked at."""
    note: Annotated[Text, Field(max_length=NOTE_MAX)] = ""


class Reason(Input, Described):
    """Why somebody does this; it stands in the log."""

    note: Annotated[Text, Field(max_length=NOTE_MAX)] = ""


class Promotion(Input, Described):
    """Open the next wave now."""

    wave: Annotated[int, Field(ge=1, le=WAVES_MAX)]
    """The last wave that is open, as it was looked at: a second click opens nothing more."""
    note: Annotated[Text, Field(max_length=NOTE_MAX)] = ""


class RetryTargets(Input, Described):
    """Which devices to try again."""

    states: Annotated[
        list[Literal[TargetState.FAILED, TargetState.ROLLED_BACK, TargetState.SKIPPED]], Field(min_length=1)
    ] = [TargetState.FAILED, TargetState.ROLLED_BACK]
    note: Annotated[Text, Field(max_length=NOTE_MAX)] = ""
