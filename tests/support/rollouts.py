"""A fleet without sockets: devices that are rows, whose tasks are claimed and reported through the server's own
services, so that a test says what each device does, and thousands of them cost what the server costs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from app.accounts.principal import Principal
from app.clock import Clock, utcnow
from app.db import Database
from app.deployments.joining import Joining
from app.deployments.models import Deployment, DeploymentDecision, DeploymentTarget
from app.deployments.reading import DeploymentReader
from app.deployments.rounds import Rounds
from app.deployments.schemas import DeploymentRequest, StrategyInput
from app.deployments.starting import Created, Starting
from app.deployments.steering import Steering
from app.deployments.strategy import strategy_of, to_json
from app.devices.models import Device
from app.hints import Hint
from app.ids import new_id
from app.leading import Lease, Term
from app.releases.models import Release
from app.tasks.delivery import Claimant, DeliveryService
from app.tasks.reports import Reported, ReportService
from app.uow import UnitOfWork
from deployx_protocol.deployments import DeploymentState
from deployx_protocol.messages import TAKES_RELEASES
from deployx_protocol.releases import Kind, Manifest, Step, payload_of
from deployx_protocol.states import DeviceStatus, Trust
from deployx_protocol.task_messages import Task, TaskUpdate
from tests.support.rows import device

NODE = "11111111-1111-4111-8111-111111111111"
TERM = Term("deployments", NODE, 0)


def release_row(name: str = "web", version: str = "1.0", number: int = 1, **changes: Any) -> Release:
    """A release that is a script; ``changes`` are of its manifest."""
    said = {
        "kind": Kind.SCRIPT,
        "platforms": ["linux"],
        "install": Step(command=["true"]),
        "detect": Step(command=["true"]),
        "timeout_s": 600.0,
        **changes,
    }
    manifest = Manifest(name=name, version=version, number=number, **said)
    payload = payload_of(manifest)
    return Release(
        id=new_id(),
        name=name,
        version=version,
        number=number,
        kind=manifest.kind.value,
        platforms=manifest.platforms,
        description="",
        artifacts_bytes=0,
        sha256=hashlib.sha256(payload).hexdigest(),
        size=len(payload),
        payload=payload,
        signatures=[],
        created_by="ada@example.test",
        created_at=utcnow(),
    )


def deployment_row(device_id: int, user_id: int, **values: Any) -> tuple[Deployment, DeploymentTarget]:
    """A deployment of one device that runs, and its target; ``values`` are of the deployment."""
    now, sha256 = utcnow(), "0" * 64
    fields: dict[str, Any] = {
        "id": new_id(),
        "user_id": user_id,
        "created_by": "ada@example.test",
        "state": DeploymentState.PAUSED.value,
        "release_name": "web",
        "release_version": "1.0",
        "release_number": 1,
        "release_sha256": sha256,
        "release_size": 1,
        "release_platforms": ["linux"],
        "release_timeout_s": 60.0,
        "signatures": [],
        "strategy": to_json(strategy_of(StrategyInput())),
        "waves": [{"number": 1, "label": "100%"}],
        "plan_hash": sha256,
        "request_sha256": "",
        "created_at": now,
        "moved_at": now,
        "total": 1,
    }
    made = Deployment(**fields | values)
    target = DeploymentTarget(
        id=new_id(),
        deployment_id=made.id,
        release_name=made.release_name,
        device_id=device_id,
        device_name=f"device-{device_id}",
        wave=1,
        position=1,
        state="pending",
        todo="install",
        updated_at=now,
    )
    return made, target


@dataclass
class Rollout:
    """Deployments on one database, their controller stepped by hand, and devices that do as they are told."""

    db: Database
    uow: UnitOfWork
    hints: list[Hint]
    clock: Clock = utcnow
    device_ids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        def live() -> set[str]:
            return {NODE}

        self.starting = Starting(self.uow, self.db, live, confirm_above=1_000_000, clock=self.clock)
        self.steering = Steering(self.uow, self.clock)
        self.reader = DeploymentReader(self.db, None, live, self.clock)  # type: ignore[arg-type]  # of no device here
        self.rounds = Rounds(self.uow, Joining(live), 1 << 20, self.clock)
        self.delivery = DeliveryService(self.uow, self.db, node_id=NODE, clock=self.clock)
        self.reports = ReportService(self.uow, self.clock)

    # ------------------------------------------------------------ what is there

    async def lead(self) -> None:
        """Have the lease of deployments, where there is one."""
        if not self.db.is_sqlite:
            until = utcnow() + timedelta(days=1)
            async with self.db.write() as session:
                session.add(Lease(name=TERM.name, node_id=TERM.node_id, term=TERM.number, expires_at=until))

    async def release(self, **changes: Any) -> Release:
        """A release in the database."""
        row = release_row(**changes)
        async with self.db.write() as session:
            session.add(row)
        return row

    async def devices(self, count: int, user_id: int | None, **values: Any) -> list[int]:
        """So many devices that are online and take releases; their ids."""
        known = len(self.device_ids)
        fields = {
            "platform": "linux",
            "status": DeviceStatus.ONLINE,
            "node_id": NODE,
            "session_epoch": 1,
            "facts": dict(TAKES_RELEASES),
            "user_id": user_id,
            "trust": Trust.TRUSTED,
            "status_since": self.clock(),
        }
        made = [device(known + n, **fields | values) for n in range(1, count + 1)]
        async with self.db.write() as session:
            session.add_all(made)
            await session.flush()
            ids = [one.id for one in made]
        self.device_ids += ids
        return ids

    async def change(self, device_ids: Sequence[int], **values: Any) -> None:
        """Devices are otherwise from now on."""
        async with self.db.write() as session:
            await session.execute(sa.update(Device).where(Device.id.in_(device_ids)).values(**values))

    async def create(self, principal: Principal, device_ids: Sequence[int] | None = None, **request: Any) -> str:
        """A deployment of web@1.0 to these devices; its id."""
        targets = {"device_ids": list(device_ids)} if device_ids is not None else request.pop("targets")
        asked = {"release": "web@1.0", "targets": targets, **request}
        created: Created = await self.starting.create(principal, DeploymentRequest.model_validate(asked), None)
        return created.id

    # ------------------------------------------------------------ time

    async def turn(self, deployment_id: str, *, sweep: bool = True) -> None:
        """What the controller does until nothing is left to do."""
        while await self.rounds.look(TERM, deployment_id, None):
            pass
        more = True
        while more:
            more, _ = await self.rounds.advance(TERM, deployment_id, sweep=sweep)

    async def deliver(self) -> list[tuple[int, Task]]:
        """(device, task) of what the devices are sent now."""
        claimants = [Claimant(device_id, 1) for device_id in self.device_ids]
        found: list[tuple[int, Task]] = []
        for start in range(0, len(claimants), 200):
            for delivery in await self.delivery.deliver_many(claimants[start : start + 200]):
                found += [(delivery.device_id, task) for task in delivery.tasks]
        return found

    async def say(self, reports: Sequence[tuple[int, str, dict[str, Any]]]) -> None:
        """(device, task, fields of the report) of several devices, in one batch."""
        items = [
            Reported(device_id, [msgspec.convert({"task_id": task_id, **fields}, TaskUpdate)])
            for device_id, task_id, fields in reports
        ]
        if items:
            await self.reports.save_many(items)

    async def finish(self, tasks: Sequence[tuple[int, Task]], **fields: Any) -> None:
        """These tasks end so: succeeded and installed, if nothing else is said."""
        ended = {"state": "succeeded", "exit_code": 0, "outcome": "installed", **fields}
        await self.say([(device_id, task.task_id, {"state": "accepted"}) for device_id, task in tasks])
        await self.say([(device_id, task.task_id, {"state": "running"}) for device_id, task in tasks])
        await self.say([(device_id, task.task_id, ended) for device_id, task in tasks])

    async def go_on(self, deployment_id: str, **fields: Any) -> int:
        """Turn, deliver, let all that was given end so, until nothing is given any more; how many tasks that were."""
        done = 0
        while True:
            await self.turn(deployment_id)
            given = await self.deliver()
            if not given:
                return done
            done += len(given)
            await self.finish(given, **fields)

    # ------------------------------------------------------------ how it is

    async def row(self, deployment_id: str) -> Deployment:
        """The deployment's row."""
        async with self.db.read() as session:
            return await session.get_one(Deployment, deployment_id)

    async def state(self, deployment_id: str) -> DeploymentState:
        """Its state."""
        return DeploymentState((await self.row(deployment_id)).state)

    async def targets(self, deployment_id: str) -> list[DeploymentTarget]:
        """Its targets, in the order of their turns."""
        query = sa.select(DeploymentTarget).where(DeploymentTarget.deployment_id == deployment_id)
        async with self.db.read() as session:
            return list(await session.scalars(query.order_by(DeploymentTarget.position)))

    async def counts(self, deployment_id: str) -> dict[str, int]:
        """Target state → how many."""
        found: dict[str, int] = {}
        for one in await self.targets(deployment_id):
            found[one.state] = found.get(one.state, 0) + 1
        return found

    async def log(self, deployment_id: str) -> list[tuple[str, str]]:
        """(kind, text) of what was decided, oldest first."""
        query = sa.select(DeploymentDecision).where(DeploymentDecision.deployment_id == deployment_id)
        async with self.db.read() as session:
            return [(one.kind, one.text) for one in await session.scalars(query.order_by(DeploymentDecision.id))]
