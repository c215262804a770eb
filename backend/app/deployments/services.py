"""The services behind the routes, made once and joined here."""

from collections.abc import Callable, Collection

from app.db import Database
from app.deployments.reading import DeploymentReader
from app.deployments.starting import Starting
from app.deployments.steering import Steering
from app.devices.service import DeviceService
from app.uow import UnitOfWork


class Deployments:
    """What people ask of deployments."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        devices: DeviceService,
        live_nodes: Callable[[], Collection[str]],
        *,
        approve_above: int,
        confirm_above: int,
    ) -> None:
        self.reader = DeploymentReader(db, devices, live_nodes)
        self.starting = Starting(uow, db, live_nodes, approve_above=approve_above, confirm_above=confirm_above)
        self.steering = Steering(uow)
