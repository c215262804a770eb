"""What the routes about devices take and answer, besides the protocol's own views."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.accounts.schemas import Input, Line, Text, Timestamp
from deployx_protocol.states import DeviceStatus, StatusCause

Tags = dict[Annotated[Text, Field(max_length=64)], Annotated[Text, Field(max_length=128)]]
POINT = tuple[Timestamp, int | None, int | None]


class DeviceChange(Input):
    """What to change about a device; what is left out stays as it is."""

    device_name: Line | None = None
    tags: Annotated[Tags, Field(max_length=32)] | None = None
    user_id: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class Acceptance(Input):
    """How to accept a claimant: as a device of its own, or as the old device, whose history it then has."""

    merge_history: bool = False


class Settled(BaseModel):
    """The device for which a claim was settled; null after a rejection."""

    device: dict[str, object] | None


class StatusEventView(BaseModel):
    """One change of presence."""

    id: int
    status: DeviceStatus
    cause: StatusCause
    detail: str
    source_ip: str
    at: Timestamp


class StatusEventPage(BaseModel):
    """Changes of presence, newest first."""

    items: list[StatusEventView]
    next_cursor: str | None


class EnrollmentTokenInput(Input):
    """An enrolment token to make. ``origin``: the address that agents will dial; by default the server's first."""

    name: Line
    max_uses: Annotated[int, Field(ge=1, le=100_000)] = 1
    expires_in_s: Annotated[int, Field(ge=60, le=366 * 86_400)] = 86_400
    origin: Annotated[Text, Field(max_length=300)] | None = None


class EnrollmentTokenView(BaseModel):
    """An enrolment token without its secret."""

    id: str
    name: str
    origin: str
    max_uses: int
    uses: int
    created_at: Timestamp
    expires_at: Timestamp
    revoked_at: Timestamp | None


class NewEnrollmentTokenView(EnrollmentTokenView):
    """A token just made: ``token`` and ``command`` are shown once."""

    token: str
    command: str


class EnrollmentTokenPage(BaseModel):
    """Enrolment tokens, newest first; the last page's cursor is null."""

    items: list[EnrollmentTokenView]
    next_cursor: str | None


class EnrolledDevice(BaseModel):
    """A device that enrolled with a token."""

    id: int
    device_name: str
    status: DeviceStatus


class EnrollmentTokenDetail(EnrollmentTokenView):
    """A token and who enrolled with it."""

    devices: list[EnrolledDevice]


class Counts(BaseModel):
    """How many devices there are, by what they are now. The last three count trust, whatever the status."""

    total: int
    online: int
    offline: int
    unknown: int
    pending: int
    quarantined: int
    unverified: int


class OnlineOverTime(BaseModel):
    """How many devices were online, every ``step_s``: [when, online, total]; null where nothing was recorded."""

    step_s: int
    start: Annotated[Timestamp, Field(serialization_alias="from")]
    to: Timestamp
    points: list[POINT]
