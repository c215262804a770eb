"""The whole server in the test's own process: `create_app` with its lifespan, on a real socket, as `serve` runs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.db import Database
from app.devices.models import Claim, Device, Node, StatusEvent
from app.main import create_app
from app.serve import Server, bind, uvicorn_config
from app.settings import Settings
from tests.support.server import Prompt

STOP_DEADLINE_S = 30.0
SETTLE_S = 15.0


async def eventually(
    holds: Callable[[], Awaitable[Any]] | Callable[[], Any], *, within_s: float = SETTLE_S, what: str = ""
) -> Any:
    """The first true answer of ``holds``, asked again and again; an AssertionError when there is none in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        answer = holds()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        if loop.time() > deadline:
            raise AssertionError(f"{what or 'the condition'} did not hold within {within_s:g} s; last: {answer!r}")
        await asyncio.sleep(0.02)


@dataclass
class RunningNode:
    """A server that runs. ``db`` is a way into its database that is not the server's own."""

    url: str
    settings: Settings
    app: Any
    db: Database

    async def devices(self) -> list[Device]:
        """All rows of `devices`, by id."""
        return await self.rows(Device)

    async def device(self, agent_id: str) -> Device:
        """The one device with this agent id."""
        async with self.db.read() as session:
            return (await session.scalars(sa.select(Device).where(Device.agent_id == agent_id))).one()

    async def claims(self) -> list[Claim]:
        """All rows of `claims`, by id."""
        return await self.rows(Claim)

    async def status_events(self, device_id: int) -> list[StatusEvent]:
        """What happened to one device's presence, oldest first."""
        return [event for event in await self.rows(StatusEvent) if event.device_id == device_id]

    async def rows(self, model: Any) -> list[Any]:
        """All rows of one table, by id."""
        async with self.db.read() as session:
            return list(await session.scalars(sa.select(model).order_by(model.id)))

    async def status(self, agent_id: str, status: str, *, within_s: float = SETTLE_S) -> Device:
        """The device, as soon as it has this status."""

        async def has_it() -> Device | None:
            device = await self.device(agent_id)
            return device if device.status == status else None

        device: Device = await eventually(has_it, within_s=within_s, what=f"{agent_id} {status}")
        return device

    async def nodes(self) -> list[Node]:
        """The leases."""
        return await self.rows(Node)


class _PromptServer(Prompt, Server):
    """The server as `serve` runs it, but for that."""


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[RunningNode]:
    """A server with ``settings`` on a free port, until the block ends; then it stops as after SIGTERM."""
    with bind(settings.model_copy(update={"port": 0})) as listener:
        port = listener.getsockname()[1]
        settings = settings.model_copy(update={"port": port})
        app: Any = create_app(settings)
        started = asyncio.Event()
        server = _PromptServer(uvicorn_config(app, settings), app.state.drain, started.set)
        task = asyncio.create_task(server._serve(sockets=[listener]))
        task.add_done_callback(lambda _: started.set())
        db = Database(settings.database_url, pool_size=3)
        try:
            await asyncio.wait_for(started.wait(), SETTLE_S)
            if task.done():
                task.result()
                raise AssertionError("the server ended before it started")
            yield RunningNode(f"http://127.0.0.1:{port}", settings, app, db)
        finally:
            server.ask_to_stop()
            await asyncio.wait_for(task, STOP_DEADLINE_S)
            await db.close()


Serve = Callable[..., Awaitable[RunningNode]]
Lines = Callable[[], list[str]]
