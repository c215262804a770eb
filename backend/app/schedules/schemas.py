"""What the routes about schedules take and answer."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from app.accounts.schemas import Input, Line, Text, Timestamp
from app.deployments.schemas import DeploymentRequest
from app.schedules.models import FiringState, ScheduleState
from app.tasks.schemas import Described, RunRequest

GRACE_MAX_S = 7 * 86_400
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[Text, Field(max_length=5)]


class Missed(StrEnum):
    """What becomes of a time at which no server was there."""

    SKIP = "skip"
    ONCE = "once"


class Overlap(StrEnum):
    """What becomes of a time at which that before is not over."""

    SKIP = "skip"
    START = "start"


class ScheduleWindow(Input, Described):
    """Hours of some days of the week. A window that ends before it begins lasts past midnight."""

    days: Annotated[list[Day], Field(max_length=7)] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    """Those on which it begins."""
    start: TimeOfDay
    """Such as `22:00`."""
    end: TimeOfDay
    """Such as `06:00`; `24:00` is the end of the day."""


class When(Input, Described):
    """When something is due: exactly one of `at` and `cron`."""

    at: AwareDatetime | None = None
    """Its only time."""
    cron: Annotated[Text, Field(max_length=300)] | None = None
    """Minute, hour, day of the month, month, day of the week; or `@hourly`, `@daily`, `@weekly`, `@monthly`."""
    timezone: Annotated[Text, Field(max_length=64)] = "UTC"
    """The IANA name of the time zone in which `cron` and `windows` are read."""
    windows: list[ScheduleWindow] = []
    """A time of `cron` outside all of these is passed over."""


class RunAction(Input, Described):
    """Start a run. Its selector is evaluated each time."""

    kind: Literal["run"]
    request: RunRequest


class DeploymentAction(Input, Described):
    """Start a deployment. Its selector is evaluated each time; where a second person has to approve it, it waits."""

    kind: Literal["deployment"]
    request: DeploymentRequest


Action = Annotated[RunAction | DeploymentAction, Field(discriminator="kind")]
"""What a schedule does, told apart by ``kind``."""


class ScheduleInput(When):
    """A schedule, whole."""

    name: Line
    action: Action
    missed: Missed = Missed.ONCE
    """`once`: when a server is back within `grace_s`, the last of the missed times is made up for; `skip`: none is."""
    grace_s: Annotated[int, Field(ge=60, le=GRACE_MAX_S)] = 3600
    overlap: Overlap = Overlap.SKIP
    """`skip`: nothing is started while what was started before is not over; `start`: it is started beside it."""


class Occurrence(Described):
    """A time that is to come."""

    at: Timestamp
    local: str
    """The same in the schedule's time zone, with its offset."""


class NextTimes(Described):
    """The times that come next, and what the cron expression says in words (empty for a single time)."""

    words: str
    items: list[Occurrence]


class FiringView(Described):
    """What came of one time."""

    id: str
    due_at: Timestamp
    claimed_at: Timestamp
    """When a server took it up."""
    by_hand: bool
    state: FiringState
    reason: str
    missed: int
    """How many times in a row were missed, where they were: `due_at` is the last of them."""
    run_id: str | None
    deployment_id: str | None


class FiringPage(Described):
    """What came of a schedule's times, newest first; the last page's cursor is null."""

    items: list[FiringView]
    next_cursor: str | None


class ScheduleView(Described):
    """A schedule as whoever asks sees it."""

    id: str
    name: str
    owner: str
    own: bool
    """Whether it belongs to whoever asks. Values of the environment are shown to its owner alone."""
    action: Action
    what: str
    """What it does, in a line."""
    at: Timestamp | None
    cron: str | None
    words: str
    timezone: str
    windows: list[ScheduleWindow]
    missed: Missed
    grace_s: int
    overlap: Overlap
    state: ScheduleState
    next_due_at: Timestamp | None
    last: FiringView | None
    created_at: Timestamp
    updated_at: Timestamp
    rev: int


class SchedulePage(Described):
    """Schedules by name; the last page's cursor is null."""

    items: list[ScheduleView]
    next_cursor: str | None


class Planned(Described):
    """The times of one schedule within a span. `more`: it comes due too often to list them all."""

    schedule_id: str
    name: str
    timezone: str
    times: list[Timestamp]
    more: bool


class Calendar(Described):
    """What is to come, by schedule."""

    items: list[Planned]
