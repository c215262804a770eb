"""Who may open a dashboard's socket: whoever is signed in, from a page of ours, one transport, a few at a time."""

import contextlib
from typing import Any

import httpx2
import pytest
import websockets

from app.accounts.auth import COOKIE
from deployx_protocol import events
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Serve
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson

# One database: nothing here depends on which it is.
pytestmark = pytest.mark.databases("sqlite")


UI = "/ui/socket.io/"
FOREIGN = ["https://evil.example", "null", "http://127.0.0.1", "http://localhost", "https://127.0.0.1", ""]


@pytest.mark.parametrize(
    "auth", [None, {}, {"token": ""}, {"token": "dxp_" + "a" * 43}, {"token": 5}, {"token": None}, [], "text"]
)
async def test_whoever_is_not_signed_in_is_refused(auth: Any, serve: Serve) -> None:
    node = await serve()
    async with RawLink.opened(node.url, UI) as link:
        assert await link.enter(auth) == "unauthenticated"
        await link.emit(events.WATCH, {})
        assert await link.event_or_end() is None


async def test_a_session_cookie_or_a_token_lets_in(serve: Serve, person: MakePerson) -> None:
    node, ada = await serve(), await person()
    async with RawLink.connected(node.url, UI, auth={"token": ada.token}):
        pass
    async with RawLink.connected(node.url, UI, additional_headers={"cookie": f"{COOKIE}={ada.cookie}"}):
        pass
    async with RawLink.opened(node.url, UI, additional_headers={"cookie": f"{COOKIE}={ada.cookie}x"}) as link:
        assert await link.enter() == "unauthenticated"


async def test_threat_20_whoever_does_not_sign_in_is_cut_off_and_so_many_of_one_address_may_wait(
    serve: Serve, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.dashboards.CONNECT_DEADLINE_S", 2.0)
    node, ada = await serve(anonymous_max=3), await person()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(5):  # who signed in never counts
            await stack.enter_async_context(RawLink.connected(node.url, UI, auth={"token": ada.token}))
        silent = [await stack.enter_async_context(RawLink.opened(node.url, UI)) for _ in range(3)]
        with pytest.raises(websockets.InvalidStatus):
            await stack.enter_async_context(RawLink.opened(node.url, UI))
        for link in silent:
            assert await link.event_or_end() is None
        await stack.enter_async_context(RawLink.connected(node.url, UI, auth={"token": ada.token}))


@pytest.mark.parametrize("origin", FOREIGN)
async def test_threat_06_a_page_of_another_origin_is_refused(origin: str, serve: Serve, person: MakePerson) -> None:
    node, ada = await serve(), await person()
    headers = {"cookie": f"{COOKIE}={ada.cookie}", "origin": origin}
    async with RawLink.opened(node.url, UI, additional_headers=headers) as link:
        assert await link.enter({"token": ada.token}) == "forbidden_origin"
        await link.emit(events.WATCH, {})
        assert await link.event_or_end() is None


async def test_threat_06_our_own_page_and_the_listed_ones_are_let_in(serve: Serve, person: MakePerson) -> None:
    node = await serve(cors_origins=["https://ui.example.com"], public_url=["https://deployx.example.com"])
    ada = await person()
    for origin in (node.url, "https://ui.example.com", "https://deployx.example.com"):
        headers = {"cookie": f"{COOKIE}={ada.cookie}", "origin": origin}
        async with RawLink.connected(node.url, UI, additional_headers=headers):
            pass


async def test_agents_and_dashboards_do_not_reach_each_others_server(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    async with RawLink.connected(node.url, UI, auth={"token": ada.token}) as dashboard:
        await dashboard.emit(events.AGENT_REGISTER, Machine().seed())
        await dashboard.emit(events.DEVICE_STATUS_CHANGED, {"agent_id": "forged", "status": "online"})
        await dashboard.emit(events.WATCH, {})
        await dashboard.event(events.SNAPSHOT_END)
    web = agent(node)
    await web.start()
    answer = await web.call(events.WATCH, {})
    assert answer["error"]["code"] == "unknown_event"
    assert [row.agent_id for row in await node.devices()] == [web.machine.agent_id]


async def test_dashboards_have_no_polling(serve: Serve, person: MakePerson) -> None:
    node = await serve()
    async with httpx2.AsyncClient(base_url=node.url) as http:
        assert (await http.get(f"{UI}?EIO=4&transport=polling")).status_code == 400
