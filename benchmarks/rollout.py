"""A deployment to 10,000 devices: what the server spends on all of it, from the first task to the last result.

Planner, controller, delivery and reports are the server's own, on SQLite in a folder; the devices are rows, whose
reports are handed to the services in the batches in which the link hands them over. `benchmarks/README.md` says how to
read the figures.
"""

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
sys.path.append(str(ROOT / "backend"))

import msgspec  # noqa: E402
import sqlalchemy as sa  # noqa: E402
import structlog  # noqa: E402

from app import migrate  # noqa: E402
from app.accounts.models import User  # noqa: E402
from app.accounts.principal import Principal  # noqa: E402
from app.clock import utcnow  # noqa: E402
from app.db import Database  # noqa: E402
from app.deployments.controller import Controller  # noqa: E402
from app.hints import Hint, HintKind  # noqa: E402
from app.leading import Leadership  # noqa: E402
from app.realtime.bus import LocalBus  # noqa: E402
from app.tasks.delivery import Claimant  # noqa: E402
from app.tasks.reports import Reported  # noqa: E402
from app.uow import UnitOfWork  # noqa: E402
from deployx_protocol.deployments import OVER  # noqa: E402
from deployx_protocol.task_messages import TaskUpdate  # noqa: E402
from tests.support.rollouts import NODE, Rollout  # noqa: E402

GOAL_S = 60.0
BATCH = 500
"""As many devices as the dispatcher claims for, and about as many reports as the link commits, at once."""
_PHASES: tuple[dict[str, Any], ...] = (
    {"state": "accepted"},
    {"state": "running", "phase": "fetching", "percent": 0},
    {"state": "running", "phase": "fetching", "percent": 100},
    {"state": "running", "phase": "installing"},
    {"state": "running", "phase": "checking"},
    {"state": "succeeded", "exit_code": 0, "outcome": "installed", "duration_s": 1.0},
)


class Fleet:
    """Devices that take their tasks and say how they go, a batch at a time."""

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout
        self._waiting: dict[int, None] = {}
        self._woken = asyncio.Event()
        self._dice = random.Random(7)
        self.reports = 0

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note of whose tasks wait."""
        for hint in hints:
            if hint.kind is HintKind.TASKS_WAITING:
                self._waiting[hint.device_id] = None
                self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        flying: list[tuple[int, str, int]] = []
        while True:
            taken = [self._waiting.popitem()[0] for _ in range(min(BATCH, len(self._waiting)))]
            if taken:
                for delivery in await self._rollout.delivery.deliver_many([Claimant(id, 1) for id in taken]):
                    flying += [(delivery.device_id, task.task_id, 0) for task in delivery.tasks]
            self._dice.shuffle(flying)  # so that no batch is of one phase alone
            now, flying = flying[:BATCH], flying[BATCH:]
            if now:
                flying += await self._say(now)
            elif not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            await asyncio.sleep(0)

    async def _say(self, batch: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
        items = [
            Reported(device, [msgspec.convert({"task_id": task, **_PHASES[step]}, TaskUpdate)])
            for device, task, step in batch
        ]
        await self._rollout.reports.save_many(items)
        self.reports += len(items)
        return [(device, task, step + 1) for device, task, step in batch if step + 1 < len(_PHASES)]


async def main(options: argparse.Namespace) -> int:
    """Print the figures; 0 when the goal is met."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda *_: ""])
    with tempfile.TemporaryDirectory(prefix="deployx-bench-") as name:
        db = Database(f"sqlite+aiosqlite:///{Path(name) / 'deployx.db'}")
        await migrate.migrate(str(db.url))
        bus = LocalBus()
        rollout = Rollout(db, UnitOfWork(db, bus.publish), [])
        fleet = Fleet(rollout)
        controller = Controller(db, rollout.rounds, Leadership(db, "deployments", node_id=NODE))
        bus.subscribe(fleet.hinted)
        bus.subscribe(controller.hinted)
        principal = await _somebody(db)
        await rollout.release()
        for _ in range(options.targets // 1_000):
            await rollout.devices(1_000, principal.user_id)
        strategy = {"waves": ["10", "10%", "50%", "100%"], "max_parallel": options.parallel}
        cpu, began = _cpu(), time.monotonic()
        id = await rollout.create(principal, rollout.device_ids, strategy=strategy)
        created = _cpu() - cpu
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fleet.run()), group.create_task(controller.run())]
            while (await rollout.state(id)) not in OVER:
                await asyncio.sleep(0.5)
            for task in tasks:
                task.cancel()
        spent, lasted = _cpu() - cpu, time.monotonic() - began
        counts = Counter(await rollout.counts(id))
        await db.close()
    print(f"A deployment to {options.targets:,} devices in 4 waves, {options.parallel} in flight at most, on SQLite\n")
    print(f"  created                {created:7.1f} s of processor time")
    print(f"  all of it              {spent:7.1f} s of processor time, {lasted:.0f} s on the clock")
    print(f"  a device               {1_000 * spent / options.targets:7.2f} ms of it, with {len(_PHASES)} reports")
    print(f"  ended as               {dict(counts)}\n")
    met = spent <= GOAL_S * options.targets / 10_000 and counts["succeeded"] == options.targets
    print(f"Goal: {GOAL_S:.0f} s for 10,000: {'met' if met else 'missed'}.")
    return 0 if met else 1


async def _somebody(db: Database) -> Principal:
    async with db.write() as session:
        values = {"email": "ada@example.test", "password_hash": "", "role": "operator"}
        now = utcnow()
        made = await session.execute(
            sa.insert(User).values(**values, created_at=now, password_changed_at=now).returning(User.id)
        )
        return Principal(made.scalar_one(), "ada@example.test", "operator")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=10_000, help="how many devices, in thousands")
    parser.add_argument("--parallel", type=int, default=500, help="how many may be in flight at once")
    sys.exit(asyncio.run(main(parser.parse_args())))
