"""Runs every deployment that is not over, on the one server that has the lease.

A hint says which tasks changed, and these are looked at; after that, and when a moment comes that the plan named, the
plan is asked. Hints can be lost and devices come and go, so now and then all is looked at. What is written, and why it
is harmless to be killed, is ``rounds``.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from app.clock import Clock, utcnow
from app.db import Database
from app.deployments import repository
from app.deployments.rounds import Rounds
from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.leading import Deposed, Leadership, Term
from deployx_protocol.deployments import OVER, DeploymentState

log = structlog.get_logger()

GATHER_S = 0.1
"""What is hinted at within this time is looked at together."""
NET_S = 5.0
"""How often all is looked at, whatever was hinted."""
SWEEP_S = 1.0
"""How soon after one look for devices that came or went another is made."""
AGAIN_S = 1.0
"""How long to wait when the database is away."""
STRAYS_MAX = 1_000
"""Of so many runs hints are kept that may turn out to be a deployment's; the others are found by the net."""
LOOKED_AT = 500
"""How many tasks one transaction looks at."""

_DEVICES = frozenset(
    {HintKind.DEVICE_STATUS, HintKind.DEVICE_ROW, HintKind.DEVICE_REMOVED, HintKind.DEVICE_MOVED, HintKind.SHARES}
)
_AT_WORK = frozenset({DeploymentState.RUNNING, DeploymentState.ABORTING, DeploymentState.ROLLING_BACK})


@dataclass(slots=True, eq=False)
class _Watched:
    """A deployment that is not over."""

    state: DeploymentState
    tasks: set[str] = field(default_factory=set)
    """That changed since they were looked at."""
    woken: bool = True
    wake_at: datetime | None = None
    netted_at: float = float("-inf")
    swept_at: float = float("-inf")


class Controller:
    """Runs until cancelled. ``hinted`` only takes note; ``measured`` is told how many deployments are in each state."""

    def __init__(
        self,
        db: Database,
        rounds: Rounds,
        leadership: Leadership,
        clock: Clock = utcnow,
        measured: Callable[[str, int], None] = lambda _state, _count: None,
    ) -> None:
        self._db = db
        self._measured = measured
        self._rounds = rounds
        self._leadership = leadership
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._runs: dict[str, str] = {}
        """Run id → deployment id."""
        self._unknown = True
        """Deployments are new, or have moved."""
        self._finding = False
        self._strays: dict[str, set[str]] = {}
        """Run id → tasks that changed, of runs that are not known yet."""
        self._devices = False
        """Devices came, went or changed."""
        self._work = asyncio.Event()

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note."""
        for hint in hints:
            if hint.kind is HintKind.TASK:
                if not self._note(hint):
                    continue
            elif hint.kind is HintKind.DEPLOYMENT:
                self._unknown = True
                if hint.run_id in self._watched:
                    self._watched[hint.run_id].woken = True
            elif hint.kind in _DEVICES and self._watched:
                self._devices = True
            elif hint.kind is HintKind.EVERYTHING:
                self._unknown = True
                for one in self._watched.values():
                    one.netted_at = float("-inf")
            else:
                continue
            self._work.set()

    def _note(self, hint: Hint) -> bool:
        """Whether ``hint`` is about a task of a deployment, or may be."""
        if hint.run_id in self._runs:
            self._watched[self._runs[hint.run_id]].tasks.add(hint.task_id)
            return True
        if self._unknown or self._finding:  # its run may have been made a moment ago
            self._strays.setdefault(hint.run_id, set()).add(hint.task_id)
        return False

    async def run(self) -> None:
        """Run deployments whenever this server has the lease, until cancelled."""
        await self._leadership.lead(self._lead)

    async def _lead(self, term: Term) -> None:
        self._watched.clear()
        self._runs.clear()
        self._unknown = True
        try:
            while True:
                try:
                    await self._turn(term)
                except Unavailable:
                    await asyncio.sleep(AGAIN_S)
                await self._rest()
        finally:
            self._watched.clear()
            self._runs.clear()
            self._measure()

    async def _rest(self) -> None:
        """Until there is something to do, or a moment comes."""
        self._work.clear()
        if not (self._unknown or any(one.tasks or one.woken for one in self._watched.values())):
            now = self._clock()
            waits = [(one.wake_at - now).total_seconds() for one in self._watched.values() if one.wake_at]
            try:
                async with asyncio.timeout(max(0.0, min([NET_S, *waits]))):
                    await self._work.wait()
            except TimeoutError:
                return
        await asyncio.sleep(GATHER_S)

    async def _turn(self, term: Term) -> None:
        loop = asyncio.get_running_loop()
        if self._unknown or not self._watched:
            await self._find()
        devices, self._devices = self._devices, False
        for id, one in list(self._watched.items()):
            try:
                await self._one(term, id, one, loop.time(), devices=devices)
            except (Unavailable, Deposed):
                one.woken = True
                raise
            except DBAPIError as error:  # a deadlock with whoever deletes devices, or a race for one, was lost
                one.woken = True
                log.warning("deployment.again", deployment_id=id, cause=str(error.__cause__ or error)[:300])
                await asyncio.sleep(AGAIN_S)
            except Exception:  # one that cannot be gone on with stops none of the others
                one.woken, one.netted_at = False, loop.time()
                log.exception("deployment.stuck", deployment_id=id)

    async def _find(self) -> None:
        self._unknown, self._finding = False, True
        try:
            async with self._db.read() as session:
                rows = await repository.active(session)
        except Unavailable:
            self._unknown = True
            raise
        finally:
            self._finding = False
        found: dict[str, _Watched] = {}
        for row in rows:
            state = DeploymentState(row.state)
            one = found[row.id] = self._watched.get(row.id) or _Watched(state)
            one.woken |= one.state is not state
            one.state = state
        self._watched = found
        self._measure()
        self._runs = {
            run_id: row.id for row in rows for run_id in (row.install_run_id, row.revert_run_id) if run_id is not None
        }
        strays, self._strays = self._strays, {}
        for run_id, task_ids in strays.items():
            if run_id in self._runs:
                found[self._runs[run_id]].tasks |= task_ids
            elif self._unknown and len(self._strays) < STRAYS_MAX:
                self._strays.setdefault(run_id, set()).update(task_ids)

    def _measure(self) -> None:
        counts = Counter(one.state for one in self._watched.values())
        for state in DeploymentState:
            if state not in OVER:
                self._measured(state.value, counts[state])

    async def _one(self, term: Term, id: str, one: _Watched, now: float, *, devices: bool) -> None:
        net = now - one.netted_at >= NET_S
        sweep = net or (devices and now - one.swept_at >= SWEEP_S)
        if devices and not sweep:
            self._devices = True
        due = one.wake_at is not None and one.wake_at <= self._clock()
        looked = await self._look(term, id, one, net=net)
        if one.state not in _AT_WORK or not (looked or one.woken or due or sweep):
            one.woken = False
            return
        one.woken, more = False, True
        while more:
            more, one.wake_at = await self._rounds.advance(term, id, sweep=sweep)
            sweep_done, sweep = sweep, False
            if sweep_done:
                one.swept_at = now

    async def _look(self, term: Term, id: str, one: _Watched, *, net: bool) -> bool:
        looked = False
        while one.tasks:
            some = _take(one.tasks, LOOKED_AT)
            try:
                looked |= bool(await self._rounds.look(term, id, some))
            except BaseException:
                one.tasks |= some
                raise
        while net and await self._rounds.look(term, id, None):
            looked = True
        if net:
            one.netted_at = asyncio.get_running_loop().time()
        return looked


def _take(ids: set[str], most: int) -> set[str]:
    taken = set(sorted(ids)[:most])
    ids -= taken
    return taken
