"""Schedules as people make, change, stop and look at them.

Invariants: what could never be due or never start is refused when it is saved; only its owner says what a schedule
does, since it acts in their name; a time that has come before a change is taken up before the change.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.accounts.principal import Principal
from app.accounts.proof import require_proof
from app.audit.actions import Action as Audited
from app.clock import Clock, utcnow
from app.db import Database
from app.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, NotFound, PreconditionFailed
from app.ids import new_id
from app.pruning import delete_where
from app.schedules import repository, times
from app.schedules.actions import Starters, parsed
from app.schedules.firing import Firings, timing_of
from app.schedules.models import Firing, FiringState, Schedule, ScheduleState
from app.schedules.schemas import NextTimes, Occurrence, Planned, ScheduleInput, ScheduleView, When
from app.schedules.times import Timing
from app.schedules.views import schedule_view
from app.settings import CONFIRM_ABOVE
from app.tasks.runs import Demand
from app.uow import Unit, UnitOfWork

SCHEDULES_MAX = 200
"""Of one user."""
SIZE_MAX_BYTES = 131_072
"""Of what one does, as JSON."""
NEXT_MAX = 50
PLANNED_MAX = 300
"""Times of one schedule in a calendar."""
SPAN_MAX = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Judged:
    """A schedule that may be saved."""

    timing: Timing
    next_due_at: datetime


class ScheduleService:
    """The schedules of whoever asks. Everything raises NotFound for what they may not see."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        starters: Starters,
        firings: Firings,
        *,
        changed: Callable[[], None],
        history_days: int,
        clock: Clock = utcnow,
        confirm_above: int = CONFIRM_ABOVE,
    ) -> None:
        self._uow = uow
        self._db = db
        self._starters = starters
        self._firings = firings
        self._changed = changed
        self._history = timedelta(days=history_days)
        self._clock = clock
        self._confirm_above = confirm_above

    # ------------------------------------------------------------ looking

    async def page(
        self, principal: Principal, *, limit: int, cursor: str | None
    ) -> tuple[list[ScheduleView], str | None]:
        """Schedules by name, and the cursor of the next page. Raises InvalidInput."""
        async with self._db.read() as session:
            rows, following = await repository.page(session, principal, limit=limit, cursor=cursor)
            last = await repository.last_firings(session, [row.id for row, _ in rows])
        return [self._view(principal, row, owner, last.get(row.id)) for row, owner in rows], following

    async def get(self, principal: Principal, schedule_id: str) -> ScheduleView:
        """One of them."""
        async with self._db.read() as session:
            found = await repository.one(session, principal, schedule_id)
            if found is None:
                raise _no_such()
            last = await repository.last_firings(session, [schedule_id])
        return self._view(principal, *found, last.get(schedule_id))

    async def history(
        self, principal: Principal, schedule_id: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Firing], str | None]:
        """What came of its times, the latest first, and the cursor of the next page. Raises InvalidInput."""
        async with self._db.read() as session:
            if await repository.one(session, principal, schedule_id) is None:
                raise _no_such()
            return await repository.firings(session, schedule_id, limit=limit, cursor=cursor)

    def preview(self, when: When, count: int) -> NextTimes:
        """The next times of what is not saved yet. Raises InvalidInput."""
        return self._next(_timing(when), count)

    async def next_times(self, principal: Principal, schedule_id: str, count: int) -> NextTimes:
        """The next times of a schedule; none while it is paused."""
        async with self._db.read() as session:
            found = await repository.one(session, principal, schedule_id)
        if found is None:
            raise _no_such()
        row, _ = found
        following = self._next(timing_of(row), count)
        return following if row.state == ScheduleState.ACTIVE else NextTimes(words=following.words, items=[])

    async def calendar(self, principal: Principal, start: datetime, end: datetime) -> list[Planned]:
        """What is to come from ``start`` to ``end``. Raises InvalidInput."""
        if not start < end <= start + SPAN_MAX:
            raise InvalidInput(f"A calendar is of {SPAN_MAX.days} days at most, and ends after it begins.")
        async with self._db.read() as session:
            rows = await repository.active(session, principal, SCHEDULES_MAX)
        since = max(start, self._clock()) - timedelta(microseconds=1)
        return await asyncio.to_thread(lambda: [_planned(row, since, end) for row in rows])

    # ------------------------------------------------------------ changing

    async def create(self, principal: Principal, wanted: ScheduleInput) -> ScheduleView:
        """A schedule, saved. Raises InvalidInput, Forbidden, and Conflict (``name_taken``)."""
        now = self._clock()
        judged = await self._judge(principal, wanted, now)
        row = Schedule(id=new_id(), user_id=principal.user_id, created_at=now, rev=1, state=ScheduleState.ACTIVE)
        _fill(row, wanted, judged, now)
        row.next_due_at = judged.next_due_at
        try:
            async with self._uow.begin() as unit:
                if await repository.count_of(unit.session, principal.user_id) >= SCHEDULES_MAX:
                    raise Conflict(f"You have {SCHEDULES_MAX} schedules; delete one first.", code="too_many")
                unit.session.add(row)
                await unit.session.flush()
                self._record(unit, principal, Audited.SCHEDULE_CREATED, row)
        except IntegrityError:
            raise _name_taken(wanted.name) from None
        self._changed()
        return await self.get(principal, row.id)

    async def change(
        self, principal: Principal, schedule_id: str, wanted: ScheduleInput, rev: int | None
    ) -> ScheduleView:
        """Make it ``wanted``. Raises InvalidInput, Forbidden, Conflict and PreconditionFailed."""
        now = self._clock()
        judged = await self._judge(principal, wanted, now)
        try:
            async with self._uow.begin() as unit:
                row = await self._locked(unit, principal, schedule_id, now, rev)
                self._own(principal, row)
                _fill(row, wanted, judged, now)
                if row.state != ScheduleState.PAUSED:
                    row.state, row.next_due_at = ScheduleState.ACTIVE, judged.next_due_at
                await unit.session.flush()
                self._record(unit, principal, Audited.SCHEDULE_CHANGED, row)
        except IntegrityError:
            raise _name_taken(wanted.name) from None
        self._changed()
        return await self.get(principal, schedule_id)

    async def pause(self, principal: Principal, schedule_id: str) -> ScheduleView:
        """Let no time of it come due until it is resumed. Raises IllegalTransition when it has none left."""
        now = self._clock()
        async with self._uow.begin() as unit:
            row = await self._locked(unit, principal, schedule_id, now)
            if row.state == ScheduleState.DONE:
                raise IllegalTransition("This schedule has no time left, so there is nothing to pause.")
            if row.state == ScheduleState.ACTIVE:
                row.state, row.next_due_at, row.updated_at = ScheduleState.PAUSED, None, now
                row.rev += 1
                self._record(unit, principal, Audited.SCHEDULE_PAUSED, row)
        self._changed()
        return await self.get(principal, schedule_id)

    async def resume(self, principal: Principal, schedule_id: str) -> ScheduleView:
        """Let it go on with its next time from now. Raises IllegalTransition when there is none."""
        now = self._clock()
        async with self._uow.begin() as unit:
            row = await self._locked(unit, principal, schedule_id, now)
            if row.state != ScheduleState.ACTIVE:
                self._permitted(principal, row)
                row.next_due_at = timing_of(row).next_after(now)
                if row.next_due_at is None:
                    raise IllegalTransition("This schedule has no time left; give it another one.")
                row.state, row.updated_at = ScheduleState.ACTIVE, now
                row.rev += 1
                self._record(unit, principal, Audited.SCHEDULE_RESUMED, row)
        self._changed()
        return await self.get(principal, schedule_id)

    async def delete(self, principal: Principal, schedule_id: str) -> None:
        """Forget it and what came of its times. What it started stays."""
        async with self._uow.begin() as unit:
            row = await self._locked(unit, principal, schedule_id, self._clock())
            self._record(unit, principal, Audited.SCHEDULE_DELETED, row)
            await unit.session.delete(row)

    async def start_now(self, principal: Principal, schedule_id: str, key: str | None) -> Firing:
        """Start what it does, now, as its owner; its times stay as they are.

        Raises Forbidden for somebody else's, Conflict (``not_over``) where its overlap policy forbids it, and what
        starting it by hand raises.
        """
        Demand.of(key, None)
        async with self._db.read() as session:
            found = await repository.one(session, principal, schedule_id)
        if found is None:
            raise _no_such()
        row, _ = found
        self._own(principal, row)
        self._permitted(principal, row)
        action = parsed(row.action)
        self._prove(principal, await self._starters[action.kind].check(principal, action), self._clock())
        firing_id = await self._take_up_by_hand(principal, schedule_id, key)
        await self._firings.finish(firing_id)
        async with self._db.read() as session:
            firing = await repository.firing(session, firing_id)
        if firing.state == FiringState.REFUSED:
            raise InvalidInput(firing.reason, code="not_started")
        return firing

    async def prune(self) -> None:
        """Forget what came of times longer ago than is kept. Raises Unavailable."""
        before = sa.literal(self._clock() - self._history, Firing.due_at.type)
        await delete_where(self._db, Firing, Firing.due_at < before, Firing.state != FiringState.STARTING)

    # ------------------------------------------------------------ judging

    async def _judge(self, principal: Principal, wanted: ScheduleInput, now: datetime) -> Judged:
        timing = _timing(wanted)
        following = timing.next_after(now)
        if following is None:
            raise InvalidInput("This time is over; choose one that is to come.", code="time_over")
        starter = self._starters[wanted.action.kind]
        if not principal.may(starter.permission):
            raise Forbidden(f"To schedule this you need {starter.permission}, which you or your token do not have.")
        if len(wanted.action.model_dump_json()) > SIZE_MAX_BYTES:
            text = f"What a schedule does has at most {SIZE_MAX_BYTES:,} bytes; put what is long elsewhere."
            raise InvalidInput(text, code="action_too_long")
        self._prove(principal, await starter.check(principal, wanted.action), now)
        return Judged(timing, following)

    def _prove(self, principal: Principal, devices: int, now: datetime) -> None:
        if devices > self._confirm_above:
            require_proof(principal, now, f"A schedule that reaches {devices} devices")

    def _permitted(self, principal: Principal, row: Schedule) -> None:
        permission = self._starters[row.action["kind"]].permission
        if not principal.may(permission):
            raise Forbidden(f"This needs {permission} as well, which you or your token do not have.")

    def _own(self, principal: Principal, row: Schedule) -> None:
        if row.user_id != principal.user_id:
            raise Forbidden("A schedule acts in its owner's name, so only its owner says what it does and starts it.")

    # ------------------------------------------------------------ rows

    async def _locked(
        self, unit: Unit, principal: Principal, schedule_id: str, now: datetime, rev: int | None = None
    ) -> Schedule:
        found = await repository.one(unit.session, principal, schedule_id, lock=True)
        if found is None:
            raise _no_such()
        row, _ = found
        if rev is not None and rev != row.rev:
            raise PreconditionFailed("Somebody changed this schedule since you read it; look at it again.")
        await self._firings.take_up_one(unit, row, now)
        return row

    async def _take_up_by_hand(self, principal: Principal, schedule_id: str, key: str | None) -> str:
        now = self._clock()
        async with self._uow.begin() as unit:
            row = await self._locked(unit, principal, schedule_id, now)
            if key and (earlier := await repository.by_request_key(unit.session, schedule_id, key)):
                return earlier.id
            if busy := await self._firings.busy(unit.session, row):
                raise Conflict(f"{busy} Wait for it, or allow both at once in the schedule.", code="not_over")
            firing = Firing(
                id=new_id(),
                schedule_id=row.id,
                due_at=now,
                claimed_at=now,
                by_hand=True,
                request_key=key,
                state=FiringState.STARTING,
                reason="",
                missed=0,
            )
            unit.session.add(firing)
            await unit.session.flush()
            self._record(unit, principal, Audited.SCHEDULE_STARTED_BY_HAND, row)
        return firing.id

    def _record(self, unit: Unit, principal: Principal, action: Audited, row: Schedule) -> None:
        details = {"what": self._starters[row.action["kind"]].what(parsed(row.action)), "at": None, "cron": row.cron}
        if row.at is not None:
            details["at"] = row.at.isoformat()
        unit.record(principal.actor, action, row.id, row.name, timezone=row.timezone, **details)

    def _view(self, principal: Principal, row: Schedule, owner: str, last: Firing | None) -> ScheduleView:
        action = parsed(row.action)
        what = self._starters[action.kind].what(action)
        return schedule_view(
            row, owner, last, action, what=what, words=timing_of(row).words, own=row.user_id == principal.user_id
        )

    def _next(self, timing: Timing, count: int) -> NextTimes:
        found = islice(timing.following(self._clock()), count)
        items = [Occurrence(at=at, local=at.astimezone(timing.zone).isoformat()) for at in found]
        return NextTimes(words=timing.words, items=items)


def _timing(when: When) -> Timing:
    windows = [times.window_of(window.days, window.start, window.end) for window in when.windows]
    return times.of(at=when.at, cron=when.cron, timezone=when.timezone, windows=windows)


def _fill(row: Schedule, wanted: ScheduleInput, judged: Judged, now: datetime) -> None:
    row.name = wanted.name
    row.action = wanted.action.model_dump(mode="json", exclude_defaults=True) | {"kind": wanted.action.kind}
    row.at, row.cron, row.timezone = judged.timing.at, judged.timing.cron, wanted.timezone
    row.windows = [window.model_dump() for window in wanted.windows]
    row.missed, row.grace_s, row.overlap = wanted.missed.value, wanted.grace_s, wanted.overlap.value
    row.updated_at = now
    row.rev = row.rev if row.created_at == now else row.rev + 1


def _planned(row: Schedule, since: datetime, end: datetime) -> Planned:
    found: list[datetime] = []
    for moment in timing_of(row).following(since):
        if moment >= end or len(found) == PLANNED_MAX:
            break
        found.append(moment)
    more = len(found) == PLANNED_MAX
    return Planned(schedule_id=row.id, name=row.name, timezone=row.timezone, times=found, more=more)


def _no_such() -> NotFound:
    return NotFound("There is no such schedule.")


def _name_taken(name: str) -> Conflict:
    return Conflict(f"You have a schedule named {name} already.", code="name_taken")
