"""Routes that are analysed when they are first asked for, and the joining of their routers.

FastAPI analyses each route's signature and models while it is declared, which was most of what a server did while it
starts, and again for each router that `include_router` takes it through. Every route of ours is a route of the
application itself, with its whole path in its own router; a start knows its path and methods alone.

Invariant: of a route that asks who is there, not a byte of the body is read before that is answered. FastAPI alone
reads the body first, so that strangers could fill the memory, and would be told what is wrong with what they sent.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import FastAPIError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import compile_path
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


class LateRoute(APIRoute):
    """A route that knows what is needed to find it, and the rest as soon as anyone asks for any of it.

    What is wrong with its declaration is raised then, each time, as FastAPIError: a test asks all of them.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:
        self.path, self.endpoint = path, endpoint
        self.name = declared["name"] or endpoint.__name__
        self.methods = {method.upper() for method in declared["methods"]}
        self.include_in_schema = declared["include_in_schema"]
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.answers: dict[int | str, dict[str, Any]] = {}
        """What all routes of the application answer beside this one's own."""
        self._declared: dict[str, Any] | None = declared

    def __getattr__(self, name: str) -> Any:
        """What the analysis gives, which is done by now."""
        declared, self.__dict__["_declared"] = self.__dict__.get("_declared"), None
        if declared is None:
            raise AttributeError(f"{self.path} has no {name!r}", name=name, obj=self)
        try:
            super().__init__(self.path, self.endpoint, **declared)
        except Exception as error:
            self._declared = declared
            raise FastAPIError(f"{self.path} is declared as FastAPI cannot have it: {error}") from error
        self.responses = {**self.answers, **self.responses}
        calls: list[object] = [inner.call for inner in self.dependant.dependencies]
        self.app = _guarded(self.app, [call for call in calls if isinstance(call, Guard)])
        return getattr(self, name)


class Router(APIRouter):
    """Where the routes of one subject are declared."""

    def __init__(
        self, *, prefix: str = "", tags: list[str | Enum] | None = None, include_in_schema: bool = True
    ) -> None:
        super().__init__(prefix=prefix, tags=tags, include_in_schema=include_in_schema, route_class=LateRoute)


def joined(*routers: Router) -> Router:
    """One router with the routes of all of these, in this order."""
    whole = Router()
    for router in routers:
        whole.routes += router.routes
    return whole


def attach(app: FastAPI, *routers: Router) -> None:
    """Give ``app`` the routes of all of these, and them the answers that all routes of ``app`` have."""
    for route in joined(*routers).routes:
        if isinstance(route, LateRoute):
            route.answers = app.router.responses
        app.router.routes.append(route)


def _guarded(app: ASGIApp, guards: list[Guard]) -> ASGIApp:
    if not guards:
        return app

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        for guard in guards:
            await guard.admitted(Request(scope))
        await app(scope, receive, send)

    return guarded
