"""What the routes about groups and selectors take and answer."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.accounts.schemas import Input, Line, Text, Timestamp
from app.devices.scope import MemberRole
from app.groups.selectors import TEXT_MAX
from app.groups.service import DEVICES_MAX
from app.settings import EMAIL_MAX

SelectorText = Annotated[Text, Field(max_length=TEXT_MAX)]
DeviceIds = Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(max_length=DEVICES_MAX)]


class GroupInput(Input):
    """A group to make: dynamic with a ``selector``, or static with ``device_ids``."""

    name: Line
    selector: SelectorText | None = None
    device_ids: DeviceIds | None = None


class GroupChange(Input):
    """What to change about a group; what is left out stays as it is."""

    name: Line | None = None
    selector: SelectorText | None = None
    device_ids: DeviceIds | None = None


class GroupView(BaseModel):
    """A group of yours. ``total`` counts its devices that you may see, ``members`` with how many users it is shared."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    selector: str | None
    """None for a static group."""
    total: int
    members: int
    created_at: Timestamp


class GroupDetail(GroupView):
    """A group with its devices, if it is a static one."""

    device_ids: list[int] | None


class GroupList(BaseModel):
    """All groups of yours, by name."""

    items: list[GroupView]


class MemberInput(Input):
    """With whom to share a group, and what they may do with its devices."""

    email: Annotated[Text, Field(min_length=1, max_length=EMAIL_MAX)]
    role: MemberRole


class MemberView(BaseModel):
    """Somebody with whom a group is shared."""

    model_config = ConfigDict(from_attributes=True)

    user_id: int
    email: str
    role: MemberRole
    added_at: Timestamp


class MemberList(BaseModel):
    """The members of a group, by address."""

    items: list[MemberView]


class SharedGroup(BaseModel):
    """A group of somebody else that is shared with you. ``total`` counts the devices that you see through it."""

    model_config = ConfigDict(from_attributes=True)

    group_id: str
    name: str
    owner: str
    role: MemberRole
    total: int


class SharedGroupList(BaseModel):
    """What is shared with you, in the order in which it was."""

    items: list[SharedGroup]


class ThroughView(BaseModel):
    """A group through which somebody, ``email``, sees a device."""

    model_config = ConfigDict(from_attributes=True)

    group_id: str
    name: str
    user_id: int
    email: str
    role: MemberRole


class AccessView(BaseModel):
    """Whose device it is, through which groups you see it, what you may do with it, and who else sees it."""

    model_config = ConfigDict(from_attributes=True)

    owner: str | None
    own: bool
    may_run: bool
    may_change: bool
    through: list[ThroughView]
    """The groups of its owner of which you are a member; empty for a device of your own."""
    members: list[ThroughView]
    """With whom it is shared, for its owner and administrators."""


class SelectorFault(BaseModel):
    """Why a selector cannot be used, and where."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    message: str
    position: int | None
    """Which of its characters is wrong, from 1; null where no single one is."""


class SelectorWords(BaseModel):
    """What a selector may be made of: each key, and what your devices have for it, the commonest first."""

    values: dict[str, list[str]]
    """As they are written in a selector, in quotes where they need them. At most 200 of a key, and 200 tags."""


class SelectorCheck(BaseModel):
    """What a selector reaches now, and the names of the first 50 devices; or why it cannot be used."""

    model_config = ConfigDict(from_attributes=True)

    selector: str
    """As it is written plainly; with a fault, as it came."""
    count: int
    online: int
    names: list[str]
    warnings: list[str]
    """A sentence for each tag that no device has."""
    fault: SelectorFault | None
    """Null for a selector that can be used."""
