"""Whose devices somebody may see, run on, or change: the one place that decides it.

Every query that selects from devices goes through a ``Scope``, which ``groups.scopes`` reads from the database for each
request and each time that something is sent. Invariant: a share never reaches beyond the devices of whoever shares, so
that neither a selector nor a list can pull in what belongs to somebody else; and what a share does not grant is left
out of the query, never filtered afterwards.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa

from app.devices.models import Device

Condition = sa.ColumnElement[bool]
Rows = TypeVar("Rows", bound=sa.Select[*tuple[Any, ...]])


class Right(IntEnum):
    """What somebody may do with a device; each includes those before it."""

    SEE = 1  # it, its timeline, its facts
    RUN = 2  # start runs on it, and see what they did there
    OWN = 3  # rename, tag and delete it, answer claims about it, see who runs what on it


class MemberRole(StrEnum):
    """What a member of a group may do with its devices, as far as their own role allows it as well."""

    VIEWER = "viewer"
    OPERATOR = "operator"

    @property
    def right(self) -> Right:
        """What it comes to."""
        return Right.RUN if self is MemberRole.OPERATOR else Right.SEE


@dataclass(frozen=True, slots=True)
class Share:
    """Devices of ``owner_id`` that are shared with somebody: those for which ``within`` holds."""

    owner_id: int
    role: MemberRole
    within: Condition = field(compare=False, repr=False)

    @property
    def condition(self) -> Condition:
        """What holds for them."""
        return sa.and_(Device.user_id == self.owner_id, self.within)


@dataclass(frozen=True, slots=True)
class Scope:
    """The devices of one user and what is shared with them, or (None) everyone's."""

    user_id: int | None
    shares: tuple[Share, ...] = ()

    def holds(self, right: Right = Right.SEE) -> Condition:
        """What holds for the devices with which this user may do that much."""
        if self.user_id is None:
            return sa.true()
        shared = (share.condition for share in self.shares if share.role.right >= right)
        return sa.or_(Device.user_id == self.user_id, *shared)

    def limit(self, query: Rows, right: Right = Right.SEE) -> Rows:
        """``query``, which selects from devices, without what is outside this scope."""
        return query if self.user_id is None else query.where(self.holds(right))

    def shared(self) -> Condition:
        """What holds for devices that are seen although they are somebody else's."""
        return sa.or_(sa.false(), *(share.condition for share in self.shares))

    def owns(self, owner_id: int | None) -> bool:
        """Whether what belongs to ``owner_id`` is this user's own, or this is everyone's scope."""
        return self.user_id is None or self.user_id == owner_id

    def may_be_shared(self, owner_ids: Iterable[int | None]) -> bool:
        """Whether any of these users shares something here."""
        return not {share.owner_id for share in self.shares}.isdisjoint(owner_ids)


EVERYONE = Scope(None)
