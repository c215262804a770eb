"""How dashboards end: signed out, disabled, too slow."""

import asyncio
from typing import Any

import httpx2
import pytest

from app.accounts.auth import COOKIE
from app.accounts.permissions import Role
from app.accounts.service import AccountService
from deployx_protocol import events
from tests.support.many_devices import fleet
from tests.support.node import Serve, eventually
from tests.support.peers import Watch
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson
from tests.support.stalled import held

UI = "/ui/socket.io/"


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("way", ["token", "cookie"])
async def test_threat_15_a_disabled_user_is_cut_within_five_seconds(
    way: str, serve: Serve, person: MakePerson, accounts: AccountService
) -> None:
    node, bob = await serve(), await person("bob@example.test", Role.OPERATOR)
    options: dict[str, Any] = (
        {"auth": {"token": bob.token}}
        if way == "token"
        else {"additional_headers": {"cookie": f"{COOKIE}={bob.cookie}"}}
    )
    async with RawLink.connected(node.url, UI, **options) as link:
        await accounts.disable(bob.email)
        async with asyncio.timeout(5):
            _, ended = await link.event(events.SESSION_ENDED)
            assert (ended["code"], ended["retryable"]) == ("signed_out", False)
            assert await link.event_or_end() is None
    async with RawLink.opened(node.url, UI) as link:
        assert await link.enter({"token": bob.token}) == "unauthenticated"


async def test_threat_15_only_the_one_who_signed_out_is_cut(serve: Serve, person: MakePerson, watch: Watch) -> None:
    node, ada = await serve(), await person()
    by_token = await watch(node, ada)
    headers = {"cookie": f"{COOKIE}={ada.cookie}"}
    async with RawLink.connected(node.url, UI, additional_headers=headers) as link:
        async with httpx2.AsyncClient(base_url=node.url) as http:
            assert (await http.post("/api/v1/auth/logout", headers=ada.browser)).status_code in (200, 204)
        async with asyncio.timeout(5):
            assert (await link.event(events.SESSION_ENDED))[1]["code"] == "signed_out"
    assert by_token.open


async def test_fault_19_a_dashboard_that_does_not_read_is_cut_off(
    serve: Serve, watch: Watch, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serve.STALLED_S", 2)
    node, ada = await serve(), await person()
    await fleet(node, ada, 4_000, facts={f"fact{n}": "x" * 200 for n in range(10)})
    steady = await watch(node, ada, batch=True)
    async with RawLink.connected(node.url, UI, auth={"token": ada.token, "batch": True}, max_queue=1) as stalled:
        await stalled.emit(events.WATCH, {})
        async with httpx2.AsyncClient(base_url=node.url, headers=ada.bearer) as http:
            await eventually(lambda: _dashboards(http, 1), within_s=15, what="the stalled one is gone")
        await eventually(lambda: held(node.settings.port) == 1, within_s=15, what="its socket is closed")
    assert steady.open
    assert len(await steady.snapshot()) == 4_000


@pytest.mark.databases("sqlite")
async def test_a_queue_that_grows_without_end_is_cut_off(
    serve: Serve, watch: Watch, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.link_socket.OUTGOING_MAX", 5)
    node, ada = await serve(), await person()
    await fleet(node, ada, 4_000, facts={f"fact{n}": "x" * 200 for n in range(10)})
    async with (
        RawLink.connected(node.url, UI, auth={"token": ada.token, "batch": True}, max_queue=1) as stalled,
        httpx2.AsyncClient(base_url=node.url, headers=ada.bearer) as http,
    ):
        for _ in range(12):
            await stalled.emit(events.WATCH, {})
        await eventually(lambda: _dashboards(http, 0), within_s=15, what="the stalled one is gone")


async def _dashboards(http: httpx2.AsyncClient, wanted: int) -> bool:
    text = (await http.get("/metrics")).text
    return f"deployx_dashboard_connections {wanted:.1f}" in text.splitlines()


async def test_many_watches_are_one_snapshot_at_a_time(serve: Serve, watch: Watch, person: MakePerson) -> None:
    node, ada = await serve(), await person()
    await fleet(node, ada, 1_200)
    dashboard = await watch(node, ada, batch=True)
    dashboard.heard.clear()
    for _ in range(31):
        await dashboard.emit(events.WATCH, {})

    def last_is_whole() -> bool:
        begun = [payload["snapshot_id"] for name, payload in dashboard.heard if name == events.SNAPSHOT_BEGIN]
        ended = [payload["snapshot_id"] for name, payload in dashboard.heard if name == events.SNAPSHOT_END]
        return bool(begun) and begun[-1] in ended

    await dashboard.call(events.WATCH, {})  # events of a connection are handled in order: the others are, too
    await eventually(last_is_whole, what="the last snapshot")
    order = [name for name, _ in dashboard.heard if name in (events.SNAPSHOT_BEGIN, events.SNAPSHOT_DEVICES)]
    assert len(order) < 31 * 4
    last = dashboard.heard[-1][1]["snapshot_id"]
    shown = [payload for name, payload in dashboard.heard if name == events.SNAPSHOT_DEVICES]
    assert sum(len(payload["devices"]) for payload in shown if payload["snapshot_id"] == last) == 1_200
    whole = [payload["snapshot_id"] for name, payload in dashboard.heard if name == events.SNAPSHOT_END]
    assert len(whole) < 31
