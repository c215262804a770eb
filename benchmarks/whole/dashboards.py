"""Dashboards that stay open: they ask for the snapshot and for batches, as ours does, and answer pings."""

import asyncio
from collections.abc import Sequence

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

PATIENCE_S = 120.0


class Dashboard(WSListener):
    """One open page of somebody with an API token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.ws: WSTransport | None = None
        self.shown = asyncio.Event()
        self.changes = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The websocket is open; Engine.IO speaks first."""
        self.ws = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One packet."""
        raw = frame.get_payload_as_bytes()
        if raw == b"2":
            transport.send(WSMsgType.TEXT, b"3")
        elif raw.startswith(b'42["devices_changed"'):
            self.changes += 1
        elif raw.startswith(b'42["snapshot_end"'):
            self.shown.set()
        elif raw[:2] == b"40":
            transport.send(WSMsgType.TEXT, b'42["watch",{}]')
        elif raw[:1] == b"0":
            transport.send(WSMsgType.TEXT, b"40" + msgspec.json.encode({"token": self._token, "batch": True}))


async def opened(url: str, token: str, count: int) -> Sequence[Dashboard]:
    """So many, each with its whole snapshot."""
    address = f"{url.replace('http', 'ws', 1)}/ui/socket.io/?EIO=4&transport=websocket"
    dashboards: list[Dashboard] = []
    for _ in range(count):
        _, one = await ws_connect(lambda: Dashboard(token), address)
        assert isinstance(one, Dashboard)
        async with asyncio.timeout(PATIENCE_S):
            await one.shown.wait()
        dashboards.append(one)
    return dashboards


def closed(dashboards: Sequence[Dashboard]) -> None:
    """Nobody looks any more."""
    for one in dashboards:
        if one.ws:
            one.ws.disconnect(False)
