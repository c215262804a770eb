"""Who an agent is over HTTP, and which scripts it may read.

Invariant: the token of a device's newest registration is the only one that is good. It says which device speaks; what
the request names is answered within that device's own tasks, and otherwise as if it did not exist.
"""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.requests import Request

from app.accounts.hashing import secret_hash
from app.db import Database
from app.devices.models import Device
from app.errors import NotFound, Unauthenticated
from app.routing import Guard
from app.tasks.models import Run, Script, Task
from deployx_protocol.states import Trust

_SCHEME = HTTPBearer(
    scheme_name="agent", description="The `http_token` of the agent's last `registration_success`", auto_error=False
)


class AgentAccess(Guard):
    """The dependency of each route for agents: the id of the device that speaks."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def __call__(self, request: Request, _bearer: Annotated[Any, Security(_SCHEME)]) -> int:
        """The device's id."""
        device_id: int = await self.admitted(request)
        return device_id

    async def admit(self, request: Request) -> int:
        """The device's id. Raises Unauthenticated."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send the token of the last registration as bearer.")
        async with self._db.read() as session:
            speaker = sa.select(Device.id).where(Device.http_token_hash == secret_hash(token.strip()))
            device_id = await session.scalar(speaker)
        if device_id is None:
            raise Unauthenticated("This token is not of the device's last registration. Register again.")
        return device_id

    async def script(self, device_id: int, sha256: str) -> bytes:
        """A script of a run that has a task for this device, while the device may be given work. Raises NotFound."""
        theirs = sa.exists().where(
            Task.device_id == device_id,
            Device.id == Task.device_id,
            Device.trust == Trust.TRUSTED,
            Run.id == Task.run_id,
            Run.script_sha256 == Script.sha256,
        )
        async with self._db.read() as session:
            body = await session.scalar(sa.select(Script.body).where(Script.sha256 == sha256, theirs))
        if body is None:
            raise NotFound("There is no such script for this device.")
        return body
