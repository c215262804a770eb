"""What the API answers where no route does: 405 with the methods that there are, or 404; never the dashboard's page.

Invariant: these routes come after all others of the server, and before the dashboard's, which takes every path.
"""

from itertools import takewhile

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PATHS = ("/api", "/api/{path:path}", "/healthz", "/readyz", "/metrics")


class Unanswered:
    """An ASGI application that takes any method, and refuses it."""

    def __init__(self) -> None:
        self.routes: list[BaseRoute] = [Route(path, endpoint=self, include_in_schema=False) for path in _PATHS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises HTTPException, which becomes a problem."""
        others = list(takewhile(lambda route: route not in self.routes, scope["app"].router.routes))
        allowed = [method for method in _METHODS if _is_answered(others, scope, method)]
        if allowed:
            raise HTTPException(405, headers={"allow": ", ".join(allowed)})
        raise HTTPException(404)


def _is_answered(routes: list[BaseRoute], scope: Scope, method: str) -> bool:
    return any(route.matches(dict(scope) | {"method": method})[0] is Match.FULL for route in routes)
