"""Firing: taking up what is due, and starting it.

A due time is taken up in one transaction (its firing is written, the schedule moves on to its next time) and started in
another, under a key made of the firing's id. A server that is killed in between leaves a firing that says ``starting``;
the next turn, of any server, finishes it, and finds what was started under that key if the first one came so far.

Invariants: each time of a schedule gets one firing and at most one start, however many servers look at it; nothing
starts with more than its owner may do at that moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import User
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.audit.actions import Action as Audited
from app.clock import Clock, utcnow
from app.db import Database, insert_new
from app.errors import DeployXError, InvalidInput, Unavailable
from app.ids import new_id
from app.leading import Term
from app.schedules import times
from app.schedules.actions import Began, Starters, parsed
from app.schedules.models import Firing, FiringState, Schedule, ScheduleState
from app.schedules.schemas import Missed, Overlap
from app.schedules.times import Timing
from app.uow import Unit, UnitOfWork

ON_TIME = timedelta(seconds=60)
"""What starts within this was not missed."""
BATCH = 20
PASSED_MAX = 5_000
"""How many missed times are counted."""
_GONE = "No server was running then."

log = structlog.get_logger()


def timing_of(row: Schedule) -> Timing:
    """When ``row`` is due, as it was judged when it was saved."""
    windows = [times.window_of(**window) for window in row.windows]
    return Timing(times.zone_of(row.timezone), row.at, row.cron, tuple(windows))


def key_of(firing_id: str) -> str:
    """Under which a firing starts what it starts."""
    return f"schedule-{firing_id}"


@dataclass(frozen=True, slots=True)
class _Due:
    """The times that have come: the last, and how many were before it, of which ``before`` was the last."""

    last: datetime
    before: datetime | None
    count: int


class Firings:
    """Takes up and starts what is due. Any number of servers may do both at once."""

    def __init__(self, uow: UnitOfWork, db: Database, starters: Starters, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._starters = starters
        self._clock = clock

    async def turn(self, term: Term | None = None) -> datetime | None:
        """Take up and start all that is due; when the next one is. Raises Unavailable, and Deposed when ``term`` is
        over."""
        while await self.take_up(term):
            pass
        for firing_id in await self._left():
            try:
                await self.finish(firing_id)
            except Unavailable:
                raise
            except Exception:  # one that cannot be started must not keep the others from it
                log.exception("schedule.failed", firing_id=firing_id)
                await self._give_up(firing_id)
        async with self._db.read() as session:
            return await session.scalar(sa.select(sa.func.min(Schedule.next_due_at)))

    async def take_up(self, term: Term | None = None) -> int:
        """Take up the times of some schedules that are due; how many schedules. Raises Unavailable and Deposed."""
        now = self._clock()
        due = sa.select(Schedule).where(Schedule.next_due_at <= sa.literal(now, Schedule.next_due_at.type))
        due = due.order_by(Schedule.next_due_at, Schedule.id).limit(BATCH).with_for_update(skip_locked=True)
        async with self._uow.begin() as unit:
            if term is not None:
                await term.confirm(unit.session)
            rows = list(await unit.session.scalars(due))
            for row in rows:
                await self.take_up_one(unit, row, now)
        return len(rows)

    async def take_up_one(self, unit: Unit, row: Schedule, now: datetime) -> None:
        """Write the firing of what is due of ``row``, which is locked, and move it on. Nothing, if nothing is due."""
        if row.next_due_at is None or row.next_due_at > now:
            return
        try:
            timing = timing_of(row)
        except InvalidInput as error:  # its time zone is not known here any more
            await self._note(unit, row, row.next_due_at, FiringState.REFUSED, now, reason=error.message)
            row.state, row.next_due_at = ScheduleState.PAUSED, None
            return
        due = _passed(timing, row.next_due_at, now)
        if due.before is not None:
            await self._note(unit, row, due.before, FiringState.MISSED, now, missed=due.count, reason=_GONE)
        late = now - due.last
        made_up = row.missed == Missed.ONCE and late <= timedelta(seconds=row.grace_s)
        if late > ON_TIME and not made_up:
            await self._note(unit, row, due.last, FiringState.MISSED, now, missed=1, reason=_GONE)
        elif late > ON_TIME and not timing.is_open(now):
            reason = f"{_GONE} When one was back, it was outside the windows."
            await self._note(unit, row, due.last, FiringState.MISSED, now, missed=1, reason=reason)
        elif busy := await self.busy(unit.session, row):
            await self._note(unit, row, due.last, FiringState.SKIPPED, now, reason=busy)
        else:
            await self._note(unit, row, due.last, FiringState.STARTING, now)
        row.next_due_at = timing.next_after(now)
        if row.next_due_at is None:
            row.state = ScheduleState.DONE

    async def busy(self, session: AsyncSession, row: Schedule) -> str:
        """Why nothing may be started now beside what was started before; empty if it may."""
        if row.overlap == Overlap.START:
            return ""
        starter = self._starters[row.action["kind"]]
        column = getattr(Firing, starter.column)
        mine = sa.select(Firing.due_at, column, Firing.state).where(Firing.schedule_id == row.id)
        live = mine.where(Firing.state.in_((FiringState.STARTING, FiringState.STARTED))).order_by(Firing.due_at.desc())
        earlier = (await session.execute(live.limit(BATCH))).all()
        if any(state == FiringState.STARTING for _, _, state in earlier):
            return "What was due before is still being started."
        ids = [started for _, started, _ in earlier if started]
        left = await starter.unfinished(session, ids) if ids else 0
        return f"What was started before is not over ({left})." if left else ""

    async def finish(self, firing_id: str) -> FiringState:
        """Start what this firing says, if that was not done; what came of it. Raises Unavailable."""
        async with self._db.read() as session:
            query = sa.select(Firing, Schedule, User).join(Schedule, Schedule.id == Firing.schedule_id)
            found = await session.execute(query.join(User, User.id == Schedule.user_id).where(Firing.id == firing_id))
            there = found.one_or_none()
            if there is None:
                return FiringState.REFUSED  # it went with its schedule
            firing, row, user = there
            if firing.state != FiringState.STARTING:
                return FiringState(firing.state)
            action = parsed(row.action)
            starter = self._starters[action.kind]
            began = await starter.began(session, user.id, key_of(firing_id))
        if began is not None:
            return await self._end(row, firing_id, FiringState.STARTED, began=began)
        if self._clock() - firing.claimed_at > max(
            ON_TIME, timedelta(seconds=row.grace_s * (row.missed == Missed.ONCE))
        ):
            return await self._end(row, firing_id, FiringState.MISSED, reason="The server was gone before it was done.")
        principal = Principal(user.id, user.email, user.role, schedule_id=row.id)
        if why := _not_allowed(user, principal, starter.permission):
            return await self._end(row, firing_id, FiringState.REFUSED, reason=why)
        try:
            began = await starter.start(principal, action, key_of(firing_id))
        except Unavailable:
            raise
        except DeployXError as error:
            async with (
                self._db.read() as session
            ):  # another server may have been quicker, before a change of the action
                began = await starter.began(session, user.id, key_of(firing_id))
            if began is None:
                return await self._end(row, firing_id, FiringState.REFUSED, reason=error.message)
        return await self._end(row, firing_id, FiringState.STARTED, began=began)

    async def _give_up(self, firing_id: str) -> None:
        async with self._db.read() as session:
            query = sa.select(Schedule).join(Firing, Firing.schedule_id == Schedule.id).where(Firing.id == firing_id)
            row = await session.scalar(query)
        if row is not None:
            await self._end(row, firing_id, FiringState.REFUSED, reason="It failed; the server's log says why.")

    async def _left(self) -> Sequence[str]:
        async with self._db.read() as session:
            query = sa.select(Firing.id).where(Firing.state == FiringState.STARTING).order_by(Firing.id)
            return list(await session.scalars(query))

    async def _note(
        self, unit: Unit, row: Schedule, due_at: datetime, state: FiringState, now: datetime, *,
        reason: str = "", missed: int = 0,
    ) -> None:  # fmt: skip
        values = {
            "id": new_id(),
            "schedule_id": row.id,
            "due_at": due_at,
            "claimed_at": now,
            "by_hand": False,
            "state": state.value,
            "reason": reason,
            "missed": missed,
        }
        await unit.session.execute(insert_new(unit.session, Firing).values(**values))
        if state is not FiringState.STARTING:
            log.info("schedule.not_fired", schedule_id=row.id, due_at=due_at.isoformat(), state=state, reason=reason)

    async def _end(
        self, row: Schedule, firing_id: str, state: FiringState, *, began: Began | None = None, reason: str = ""
    ) -> FiringState:
        """Write what came of it, once."""
        values: dict[str, str] = {"state": state.value, "reason": reason}
        if began is not None:
            values[began.column] = began.id
        write = sa.update(Firing).where(Firing.id == firing_id, Firing.state == FiringState.STARTING).values(**values)
        async with self._uow.begin() as unit:
            written = await unit.session.scalar(write.returning(Firing.id))
            if written and state is FiringState.REFUSED:
                actor = Principal(row.user_id, "", "", schedule_id=row.id).actor
                unit.record(actor, Audited.SCHEDULE_REFUSED, row.id, row.name, reason=reason)
        if written:
            log.info("schedule.fired", schedule_id=row.id, firing_id=firing_id, state=state, reason=reason or None)
        return state


def _passed(timing: Timing, first: datetime, now: datetime) -> _Due:
    last, before, count = first, None, 0
    for moment in takewhile(lambda moment: moment <= now, islice(timing.following(first), PASSED_MAX)):
        last, before, count = moment, last, count + 1
    if count == PASSED_MAX:  # it comes often: the last of a day is enough to find the last of all
        for moment in takewhile(lambda moment: moment <= now, timing.following(now - timedelta(days=1))):
            last, before = moment, last
    return _Due(last, before, count)


def _not_allowed(user: User, principal: Principal, permission: Permission) -> str:
    if user.disabled_at is not None:
        return f"{user.email} is shut out, so what they scheduled does not start."
    if not principal.may(permission) or not principal.may(Permission.SCHEDULES_WRITE):
        return f"{user.email} is {user.role} now, which does not allow this."
    return ""
