"""Joins routers. Every route is a route of the application itself, with its whole path in its own router.

`include_router` would analyse each route's signature and models once more for each router that it passes through,
which is most of what a server does while it starts.
"""

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute


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
        app.router.routes.append(route)
