"""Joins routers. Every route is a route of the application itself, with its whole path in its own router.

`include_router` would analyse each route's signature and models once more for each router that it passes through,
which is most of what a server does while it starts.

Invariant: of a route that asks who is there, not a byte of the body is read before that is answered. FastAPI alone
reads the body first, so that strangers could fill the memory, and would be told what is wrong with what they sent.
"""

from abc import ABC, abstractmethod
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_ADMITTED = "deployx.admitted"


class Guard(ABC):
    """A dependency that says who asks, from a request's head alone, and raises if they may not."""

    @abstractmethod
    async def admit(self, request: Request) -> Any:
        """Who asks. Raises what the client is to hear."""

    async def admitted(self, request: Request) -> Any:
        """Who asks, asked once for each request."""
        known: dict[Guard, Any] = request.scope.setdefault(_ADMITTED, {})
        if self not in known:
            known[self] = await self.admit(request)
        return known[self]


def joined(*routers: APIRouter) -> APIRouter:
    """One router with the routes of all of these, in this order."""
    whole = APIRouter()
    for router in routers:
        whole.routes += router.routes
    return whole


def attach(app: FastAPI, *routers: APIRouter) -> None:
    """Give ``app`` the routes of all of these, and them the answers that all routes of ``app`` have."""
    for route in joined(*routers).routes:
        if isinstance(route, APIRoute):
            route.responses = {**app.router.responses, **route.responses}
            calls: list[object] = [inner.call for inner in route.dependant.dependencies]
            route.app = _guarded(route.app, [call for call in calls if isinstance(call, Guard)])
        app.router.routes.append(route)


def _guarded(app: ASGIApp, guards: list[Guard]) -> ASGIApp:
    if not guards:
        return app

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        for guard in guards:
            await guard.admitted(Request(scope))
        await app(scope, receive, send)

    return guarded
