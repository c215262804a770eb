"""Routes that are analysed when they are first asked for: not before, and what is wrong with one is said each time."""

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.exceptions import FastAPIError

from app.main import create_app
from app.routing import LateRoute, Router, attach
from app.settings import Settings


def analysed(app: FastAPI) -> list[str]:
    return [route.path for route in app.routes if isinstance(route, LateRoute) and "dependant" in vars(route)]


def test_a_start_analyses_no_route() -> None:
    app = create_app(Settings(database_url="sqlite+aiosqlite:///:memory:"))
    assert len([route for route in app.routes if isinstance(route, LateRoute)]) > 100
    assert analysed(app) == []


async def test_a_request_analyses_the_route_that_it_is_for_and_the_document_all_of_them() -> None:
    routes, app = Router(prefix="/things", tags=["things"]), FastAPI(responses={418: {"description": "A teapot."}})

    @routes.get("/{number}")
    async def one(number: int) -> dict[str, int]:
        return {"number": number}

    @routes.post("")
    async def another(name: str) -> None:
        raise AssertionError(name)

    attach(app, routes)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
        assert (await client.get("/things")).status_code == 405
        assert analysed(app) == []
        assert (await client.get("/things/7")).json() == {"number": 7}
        assert (await client.get("/things/seven")).status_code == 422
    assert analysed(app) == ["/things/{number}"]
    described = app.openapi()["paths"]
    assert {path: list(methods) for path, methods in described.items()} == {
        "/things/{number}": ["get"],
        "/things": ["post"],
    }
    assert described["/things"]["post"]["responses"]["418"] == {"description": "A teapot."}


def test_what_is_wrong_with_a_route_is_said_whenever_it_is_asked_for() -> None:
    routes, app = Router(), FastAPI()

    @routes.get("/wrong", response_model=object())
    async def wrong() -> None:
        return

    attach(app, routes)
    for _ in range(2):
        with pytest.raises(FastAPIError, match=r"^/wrong is declared"):
            app.openapi()
    with pytest.raises(AttributeError, match="/things has no 'colour'"):
        _ = LateRoute("/things", wrong, name=None, methods=["GET"], include_in_schema=True).colour
