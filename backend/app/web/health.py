"""Is the process alive, and could it serve? For service managers and load balancers; they tell nothing else."""

from collections.abc import Callable

import sqlalchemy as sa
from starlette.responses import PlainTextResponse

from app.db import Database
from app.routing import Router


def router(db: Database, leaving: Callable[[], bool] = lambda: False) -> Router:
    """``/healthz`` and ``/readyz``. Who is ``leaving`` is alive, and not to be sent anybody any more."""
    routes = Router(include_in_schema=False)

    @routes.get("/healthz")
    async def alive() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @routes.get("/readyz")
    async def ready() -> PlainTextResponse:
        if leaving():
            return PlainTextResponse("stopping\n", 503)
        async with db.read() as session:  # raises Unavailable: 503
            await session.execute(sa.text("SELECT 1"))
        return PlainTextResponse("ok\n")

    return routes
